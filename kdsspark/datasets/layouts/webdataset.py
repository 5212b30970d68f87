"""Layout ``webdataset``: tar shards in which files of one basename are one sample.

``n01440764_7.jpg`` and ``n01440764_7.cls`` are an image and its class: the text of ``.cls``, or
``label`` of ``.json``. As WebDataset has it, the key of a sample is its path up to the first dot of
the file name, all that follows is the ending, endings differ by more than case, and the members of
a sample follow each other. Members are read by their place in the shard, so shards must not be
compressed.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Any, Final

import fsspec
import pyarrow as pa

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts.containers import Container, containers
from kdsspark.datasets.left_out import HIDDEN, NO_FILE, LeftOut, ending, is_photograph
from kdsspark.datasets.listing import Root, Row, is_text, tables
from kdsspark.errors import DatasetError
from kdsspark.images.decoding import image_suffixes
from kdsspark.images.fetch import tar_member

_Members = dict[str, tarfile.TarInfo]  # lower-case ending, from the first dot on -> member
_LABELS: Final = (".cls", ".json")
_MANY_DOTS: Final = "more than one dot in the name"
_NO_IMAGE: Final = "no image beside it"
_ZEROS: Final = 1 << 20  # bytes read at once of what follows an archive


@dataclass(frozen=True)
class _Sample:
    """One sample of a shard; ``where`` is the beginning of errors."""

    where: str
    file: IO[bytes]
    members: _Members


def read(dataset: ImageDataset, root: Root, left_out: LeftOut) -> Iterator[pa.Table]:
    """Every image of every shard. Only headers and labels are read, shard after shard."""
    suffixes = image_suffixes()
    shards = containers(dataset, root, (".tar",), left_out)
    yield from tables(
        row
        for shard in shards
        for sample in _samples(f"dataset {dataset.name}: {shard.uri}", root.fs, shard, left_out)
        for row in _rows(sample, suffixes, shard, left_out)
    )


def _samples(
    where: str, fs: fsspec.AbstractFileSystem, shard: Container, left_out: LeftOut
) -> Iterator[_Sample]:
    try:
        with fs.open(shard.path, "rb") as file:
            members = _members(where, file, left_out)
            for key, of_key in groupby(members, key=lambda member: _split(member.name)[0]):
                of_sample = f"{where} sample {key}"
                yield _Sample(of_sample, file, _by_ending(of_sample, of_key))
    except (tarfile.TarError, EOFError) as error:
        raise DatasetError(f"{where} must be a whole, uncompressed tar file: {error}") from error


# -- archives -----------------------------------------------------------------------------------


def _members(where: str, file: IO[bytes], left_out: LeftOut) -> Iterator[tarfile.TarInfo]:
    """The files of all archives in ``file`` that have a key and an ending."""
    for member in _all_members(file):
        name = posixpath.basename(member.name)
        if member.isdir():
            continue
        if name.startswith("."):
            left_out.add(name, HIDDEN)
        elif not member.isreg() or member.issparse():
            left_out.add(name, NO_FILE)
        elif "." not in name:
            left_out.add(name)
        elif not is_text(member.name):
            raise DatasetError(f"{where}: member names must be valid UTF-8, got {member.name!r}")
        else:
            yield member


def _all_members(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Every member of every archive; archives may be concatenated.

    Raises TarError for a header that is damaged, and where the end of an archive is missing.
    """
    while True:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it would keep those of a whole shard
                yield member
        # `next` also ends at a header that it cannot read. An archive ends with empty blocks.
        file.seek(tar.offset)
        block = file.read(tarfile.BLOCKSIZE)
        if not block or block.strip(b"\0"):
            what = "header" if block else "end of the archive"
            raise tarfile.ReadError(f"no {what} at byte {tar.offset}")
        if not _skip_empty_blocks(file):
            return


def _skip_empty_blocks(file: IO[bytes]) -> bool:
    """Move to the next block that is not empty; False where there is none."""
    while chunk := file.read(_ZEROS):
        if kept := len(chunk.lstrip(b"\0")):
            blocks = (len(chunk) - kept) // tarfile.BLOCKSIZE
            file.seek(blocks * tarfile.BLOCKSIZE - len(chunk), 1)
            return True
    return False


# -- samples ------------------------------------------------------------------------------------


def _split(name: str) -> tuple[str, str]:
    """``a.b/1.seg.PNG`` -> ``a.b/1`` and ``.seg.png``: a key ends at the first dot of the name."""
    folder, base = posixpath.split(name)
    key, _, suffix = base.partition(".")
    return posixpath.join(folder, key), f".{suffix.lower()}"


def _by_ending(where: str, members: Iterable[tarfile.TarInfo]) -> _Members:
    found: _Members = {}
    for member in members:
        suffix = _split(member.name)[1]
        other = found.setdefault(suffix, member)
        if other is not member:
            names = f"{other.name}, {member.name}"
            raise DatasetError(f"{where}: must have one member {suffix}, got {names}")
    return found


def _rows(
    sample: _Sample, suffixes: tuple[str, ...], shard: Container, left_out: LeftOut
) -> Iterator[Row]:
    """The image of a sample, if it has one. The other members are left out, except the label's."""
    images = [suffix for suffix in sample.members if suffix in suffixes]
    if not images:
        _leave_out(sample, suffixes, left_out)
        return
    if len(images) > 1:
        names = ", ".join(sample.members[suffix].name for suffix in images)
        raise DatasetError(f"{sample.where}: must have one image, got {names}")
    image, of_label = sample.members[images[0]], _label_suffix(sample)
    uri = tar_member(shard.uri, image.offset_data, image.size, image.name)
    yield f"{shard.below}#{image.name}", uri, _label(sample, of_label), shard.version
    for suffix, member in sample.members.items():
        if suffix not in (images[0], of_label):
            left_out.add(member.name, _many_dots(member, suffixes))


def _leave_out(sample: _Sample, suffixes: tuple[str, ...], left_out: LeftOut) -> None:
    """Count the members of a sample without an image; a photograph, under the sample's class."""
    photographs = any(is_photograph(member.name) for member in sample.members.values())
    labelled = photographs and any(suffix in sample.members for suffix in _LABELS)
    label = _label(sample, _label_suffix(sample)) if labelled else None
    for suffix, member in sample.members.items():
        if is_photograph(member.name):
            left_out.add(member.name, class_name=label)
        elif suffix in _LABELS:
            left_out.add(member.name, _NO_IMAGE)
        else:
            left_out.add(member.name, _many_dots(member, suffixes))


def _many_dots(member: tarfile.TarInfo, suffixes: tuple[str, ...]) -> str | None:
    """Why ``1.seg.png`` is no image, though its ending is one of images."""
    return _MANY_DOTS if ending(member.name) in suffixes else None


# -- labels -------------------------------------------------------------------------------------


def _label_suffix(sample: _Sample) -> str:
    for suffix in _LABELS:
        if suffix in sample.members:
            return suffix
    raise _no_class(sample, ", ".join(sorted(sample.members)))


def _label(sample: _Sample, suffix: str) -> str:
    member = sample.members[suffix]
    sample.file.seek(member.offset_data)
    data = sample.file.read(member.size)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        got = repr(data[:40])
        raise DatasetError(f"{sample.where}: {member.name} must be UTF-8, got {got}") from None
    label = text.strip() if suffix == ".cls" else _label_of_json(sample, member.name, text)
    if not isinstance(label, str | int) or isinstance(label, bool) or not str(label).strip():
        raise _no_class(sample, repr(label))
    return str(label)


def _label_of_json(sample: _Sample, name: str, text: str) -> object:
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{sample.where}: {name} must be whole JSON: {error}") from error
    if not isinstance(value, dict) or "label" not in value:
        raise _no_class(sample, ", ".join(sorted(sample.members)))
    return value["label"]


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)!r} comes twice")
    return found


def _no_class(sample: _Sample, got: str) -> DatasetError:
    expected = "must have a class, the text of .cls or label in .json"
    return DatasetError(f"{sample.where}: {expected}, got {got}")

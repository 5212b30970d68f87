"""Layout ``webdataset``: tar shards in which files of one basename are one sample.

``n01440764_7.jpg`` and ``n01440764_7.cls`` are an image and its class: the text of ``.cls``, or
``label`` of ``.json``. Other files are left out. Members are read by their place in the shard, so
shards must not be compressed.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator
from itertools import groupby

import fsspec
import pyarrow as pa

from kdsspark.config import Dataset
from kdsspark.datasets.layouts.containers import Container, containers
from kdsspark.datasets.listing import Root, Row, tables
from kdsspark.errors import DatasetError
from kdsspark.images.decoding import IMAGE_SUFFIXES
from kdsspark.images.fetch import tar_member

_Sample = dict[str, tarfile.TarInfo]  # lower-case suffix -> member


def read(dataset: Dataset, root: Root) -> Iterator[pa.Table]:
    """Every image of every shard. Only headers and labels are read, shard after shard."""
    shards = containers(dataset, root, (".tar",))
    yield from tables(row for shard in shards for row in _rows(dataset.name, root.fs, shard))


def _rows(dataset: str, fs: fsspec.AbstractFileSystem, shard: Container) -> Iterator[Row]:
    where = f"dataset {dataset}: {shard.uri}"
    try:
        with fs.open(shard.path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for key, members in groupby(_members(tar), key=lambda m: _split(m.name)[0]):
                sample = {_split(member.name)[1]: member for member in members}
                yield from _sample_rows(f"{where} sample {key}", tar, sample, shard)
    except (tarfile.TarError, EOFError) as error:
        raise DatasetError(f"{where} must be a whole, uncompressed tar file: {error}") from error


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Regular files, hidden ones left out; raises TarError where the archive is damaged."""
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # it would keep them all: a shard has many
        if member.isreg() and not posixpath.basename(member.name).startswith("."):
            yield member
    # `next` takes any header that it cannot read for the end, which is an empty block.
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {tar.offset}")


def _split(name: str) -> tuple[str, str]:
    """``a.b/1.seg.PNG`` -> ``a.b/1`` and ``.seg.png``: a key ends at the first dot of the name."""
    folder, base = posixpath.split(name)
    key, _, suffix = base.partition(".")
    return posixpath.join(folder, key), f".{suffix.lower()}"


def _sample_rows(
    where: str, tar: tarfile.TarFile, sample: _Sample, shard: Container
) -> Iterator[Row]:
    images = [member for suffix, member in sample.items() if suffix in IMAGE_SUFFIXES]
    if not images:
        return
    if len(images) > 1:
        raise DatasetError(f"{where}: must have one image, got {', '.join(m.name for m in images)}")
    (image,) = images
    uri = tar_member(shard.uri, image.offset_data, image.size, image.name)
    yield f"{shard.below}#{image.name}", uri, _label(where, tar, sample), shard.version


def _label(where: str, tar: tarfile.TarFile, sample: _Sample) -> str:
    expected = f"{where}: must have a class, the text of .cls or label in .json"
    try:
        if ".cls" in sample:
            label = _text(tar, sample[".cls"]).strip()
        else:
            label = json.loads(_text(tar, sample[".json"]))["label"]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{expected}, got {', '.join(sorted(sample))}") from error
    if not isinstance(label, str | int) or label == "":
        raise DatasetError(f"{expected}, got {label!r}")
    return str(label)


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = tar.extractfile(member)
    assert file is not None  # a regular file
    return file.read().decode()

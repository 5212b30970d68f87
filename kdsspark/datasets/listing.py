"""Listings of images, and the files that they are made of (driver).

A listing is an iterator of Arrow tables with the columns of ``LISTING``. Each layout of
:mod:`kdsspark.datasets.layouts` makes one, and finds its files with the functions of this module.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import fsspec
import pyarrow as pa

from kdsspark.datasets.left_out import BROKEN_LINK, HIDDEN, NO_FILE, LeftOut
from kdsspark.errors import DatasetError
from kdsspark.output.filesystems import absolute, is_local, local_version, locate, version_of

BATCH: Final = 65_536

LISTING: Final = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),  # below the root; what image_id is made of
        pa.field("uri", pa.string(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
    ]
)
Row = tuple[str, str, str, str]
"""One image, the columns of ``LISTING``."""


def tables(rows: Iterable[Row]) -> Iterator[pa.Table]:
    """Rows as tables of ``LISTING``. At most ``BATCH`` rows are Python objects at any time."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield _table(batch)
            batch = []
    if batch:
        yield _table(batch)


def _table(rows: list[Row]) -> pa.Table:
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.Table.from_arrays(columns, schema=LISTING)


def is_text(name: str) -> bool:
    """Whether a name is valid UTF-8; Python stands in for other bytes by half characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_repeated(where: str, found: Sequence[str], columns: Iterable[str]) -> None:
    """Raise DatasetError where one of ``columns`` is more than once among those of a file."""
    for column in columns:
        if found.count(column) > 1:
            raise DatasetError(f"{where} must have one column {column}, got {found.count(column)}")


@dataclass(frozen=True)
class Root:
    """The folder or file at a dataset's path: as ``fs`` names it, and as a URL or local path."""

    fs: fsspec.AbstractFileSystem
    path: str
    url: str

    @classmethod
    def at(cls, place: str) -> Root:
        """The root at a configured place, the same however that is spelled.

        Raises ValueError or ImportError where no file system for it is known or installed.
        """
        url = absolute(place)
        fs, path = locate(url)
        return cls(fs, path.rstrip("/"), url)

    def uri(self, path: str) -> str:
        """The URL of a file, which other processes find it by: it may name a host, too."""
        if is_local(self.fs):
            return path
        if f"{path}/".startswith(f"{self.path}/"):
            return f"{self.url}{path[len(self.path) :]}"
        return str(self.fs.unstrip_protocol(path))

    def below(self, path: str) -> str:
        """The path of a file as seen from the root: ``/data/birds/a/1.jpg`` -> ``a/1.jpg``."""
        return path[len(self.path) + 1 :]

    def folder(self, name: str) -> Root:
        """A folder below this one; ``""`` is the root itself."""
        return Root(self.fs, f"{self.path}/{name}", f"{self.url}/{name}") if name else self

    @property
    def parent(self) -> Root:
        """The folder that a file lies in."""
        return Root(self.fs, posixpath.dirname(self.path), posixpath.dirname(self.url))


class Entry(NamedTuple):
    """A file or folder, with the state of a file as `images.version` records it."""

    path: str
    is_folder: bool
    version: str  # of a file; empty for a local link that leads nowhere


def walk(fs: fsspec.AbstractFileSystem, folder: str, left_out: LeftOut) -> Iterator[Entry]:
    """Files at any depth, whatever their ending. What is no regular file goes to ``left_out``.

    Streams local folders; of object stores, the listing of one folder is held at a time.
    """
    folders = []
    for entry in entries(fs, folder, left_out):
        if entry.is_folder:
            folders.append(entry.path)
        else:
            yield entry
    for below in sorted(folders):
        yield from walk(fs, below, left_out)


def chosen(found: Iterable[Entry], suffixes: tuple[str, ...], left_out: LeftOut) -> Iterator[Entry]:
    """Files whose lower-case name ends in one of ``suffixes``; others go to ``left_out``."""
    for entry in found:
        if entry.path.lower().endswith(suffixes):
            yield entry
        else:
            left_out.add(entry.path, None if entry.version else BROKEN_LINK)


def entries(fs: fsspec.AbstractFileSystem, folder: str, left_out: LeftOut) -> Iterator[Entry]:
    """What lies in one folder, without what is hidden; local folders one entry at a time.

    A folder whose path ends in a slash is a key with an empty part: ``a//1.jpg`` in ``a/``. All
    files below it come at once.
    """
    if is_local(fs):
        with os.scandir(folder) as found:
            for item in found:
                if item.name.startswith("."):
                    left_out.add(item.name, HIDDEN)
                elif _is_special(folder, item):
                    left_out.add(item.name, NO_FILE)
                else:
                    yield _local_entry(folder, item)
    elif folder.endswith("/"):
        yield from _below_an_empty_part(fs, folder, left_out)
    else:
        yield from _stored_entries(fs, folder, left_out)


def _stored_entries(
    fs: fsspec.AbstractFileSystem, folder: str, left_out: LeftOut
) -> Iterator[Entry]:
    for info in fs.ls(folder, detail=True):
        path, is_folder = info["name"].rstrip("/"), info["type"] == "directory"
        if path == folder:  # an object that stands for the folder, or a key with an empty part
            if is_folder and info["name"] != folder:
                yield Entry(f"{folder}/", True, "")
        elif posixpath.basename(path).startswith("."):
            left_out.add(path, HIDDEN)
        elif info["type"] == "other":
            left_out.add(path, NO_FILE)
        else:
            yield Entry(path, is_folder, version_of(info))


def _below_an_empty_part(
    fs: fsspec.AbstractFileSystem, folder: str, left_out: LeftOut
) -> Iterator[Entry]:
    """Files whose keys begin with ``folder`` and one more slash, which ``ls`` cannot list."""
    found = fs.find(folder.rstrip("/"), detail=True)
    below = {path: info for path, info in found.items() if path.startswith(f"{folder}/")}
    if not below:
        raise ValueError(f"keys with an empty part cannot be listed here, got {folder}/")
    for path, info in sorted(below.items()):
        if any(part.startswith(".") for part in path.removeprefix(folder).split("/")):
            left_out.add(path, HIDDEN)
        elif not path.endswith("/"):
            yield Entry(path, False, version_of(info))


def _is_special(folder: str, item: os.DirEntry[str]) -> bool:
    """Whether reading it could wait for ever: pipes, sockets and devices, or links to them.

    A link that leads nowhere is not special: reading it fails at once, and says what is wrong.
    """
    return not (item.is_file() or item.is_dir()) and Path(folder, item.name).exists()


def _local_entry(folder: str, item: os.DirEntry[str]) -> Entry:
    path = f"{folder}/{item.name}"
    if not is_text(path):
        raise ValueError(f"file names must be valid UTF-8, got {path!r}")
    if not item.is_dir():
        return Entry(path, False, local_version(path))
    if item.is_symlink() and Path(folder).resolve().is_relative_to(Path(path).resolve()):
        raise OSError(errno.ELOOP, "folder links to one above it", path)
    return Entry(path, True, "")

"""What a listing of images is, and the files that listings are made of (driver).

A listing is an iterator of Arrow tables with the columns of ``LISTING``. Each layout of
:mod:`kdsspark.datasets.layouts` reads one; all of them find files by what is here.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import fsspec
import pyarrow as pa

from kdsspark.output.filesystems import is_local, local_version, version_of

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
    """Rows as tables of ``LISTING``; at most ``BATCH`` images are Python objects at any time."""
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


@dataclass(frozen=True)
class Root:
    """What images lie below: its path as ``fs`` knows it, and as the user gave it."""

    fs: fsspec.AbstractFileSystem
    path: str
    url: str

    def uri(self, path: str) -> str:
        """Where a file is, so that other processes find it: the URL may tell the host, too."""
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
    version: str


def walk(fs: fsspec.AbstractFileSystem, folder: str, suffixes: tuple[str, ...]) -> Iterator[Entry]:
    """Files at any depth whose lower-case name ends in one of ``suffixes``.

    Streams local folders; of object stores, the listing of one folder is held at a time.
    """
    folders = []
    for entry in entries(fs, folder):
        if entry.is_folder:
            folders.append(entry.path)
        elif entry.path.lower().endswith(suffixes):
            yield entry
    for below in sorted(folders):
        yield from walk(fs, below, suffixes)


def entries(fs: fsspec.AbstractFileSystem, folder: str) -> Iterator[Entry]:
    """What lies in one folder, hidden names left out; local folders one entry at a time."""
    if is_local(fs):
        with os.scandir(folder) as found:
            for item in found:
                if not item.name.startswith(".") and not _is_special(folder, item):
                    yield _local_entry(folder, item)
        return
    for info in fs.ls(folder, detail=True):
        path = info["name"].rstrip("/")
        hidden = posixpath.basename(path).startswith(".")
        if path != folder and not hidden and info["type"] != "other":
            yield Entry(path, info["type"] == "directory", version_of(info))


def _is_special(folder: str, item: os.DirEntry[str]) -> bool:
    """Whether reading it could wait for ever: pipes, sockets and devices, or links to them.

    A link that leads nowhere is none: it is listed, and reading it says what is wrong.
    """
    return not (item.is_file() or item.is_dir()) and Path(folder, item.name).exists()


def _local_entry(folder: str, item: os.DirEntry[str]) -> Entry:
    path = f"{folder}/{item.name}"
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(f"file names must be valid UTF-8, got {path!r}") from None
    if not item.is_dir():
        return Entry(path, False, local_version(path))
    if item.is_symlink() and Path(folder).resolve().is_relative_to(Path(path).resolve()):
        raise OSError(errno.ELOOP, "folder links to one above it", path)
    return Entry(path, True, "")

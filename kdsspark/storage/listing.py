"""Which images a dataset has: class folders or a manifest, read as a stream (driver).

Every listing is an iterator of Arrow tables with the columns of ``LISTING``; at most ``BATCH``
images are Python objects at any time (on object stores: the listing of one folder).
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
from fsspec.implementations.local import LocalFileSystem

from kdsspark.config import Dataset
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.storage.files import locate
from kdsspark.storage.images import IMAGE_SUFFIXES

BATCH: Final = 65_536

LISTING: Final = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),  # below the root; what image_id is made of
        pa.field("uri", pa.string(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
    ]
)
_Row = tuple[str, str, str, str]


def images(dataset: Dataset) -> Iterator[pa.Table]:
    """Every image of a dataset that comes as images.

    Raises :class:`ConfigError` for a path that leads nowhere, else :class:`DatasetError`.
    """
    assert dataset.path is not None
    try:
        fs, path = locate(dataset.path)
        fs.invalidate_cache()
        if dataset.layout == "folder":
            root = Root(fs, path.rstrip("/"), dataset.path.rstrip("/"))
            yield from _tables(_folder(dataset.name, root))
        elif not fs.exists(path):
            raise ConfigError(
                f"datasets.{dataset.name}.path: must be a readable CSV or Parquet file, "
                f"got {dataset.path}"
            )
        else:
            root = Root(fs, posixpath.dirname(path), posixpath.dirname(dataset.path))
            yield from _manifest(dataset.name, root, path)
    except (OSError, ValueError, ImportError, pa.ArrowException) as error:
        raise DatasetError(
            f"dataset {dataset.name}: {dataset.layout} {dataset.path} cannot be read: "
            f"{' '.join(str(error).split())}"
        ) from error


def _tables(rows: Iterator[_Row]) -> Iterator[pa.Table]:
    batch: list[_Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield _table(batch)
            batch = []
    if batch:
        yield _table(batch)


def _table(rows: list[_Row]) -> pa.Table:
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.Table.from_arrays(columns, schema=LISTING)


@dataclass(frozen=True)
class Root:
    """A folder that images lie in: its path as ``fs`` knows it, and as the user gave it."""

    fs: fsspec.AbstractFileSystem
    path: str
    url: str

    def uri(self, path: str) -> str:
        """Where a file is, so that other processes find it: the URL may tell the host, too."""
        if _is_local(self.fs):
            return path
        if f"{path}/".startswith(f"{self.path}/"):
            return f"{self.url}{path[len(self.path) :]}"
        return str(self.fs.unstrip_protocol(path))


# -- folders ------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    path: str
    is_folder: bool
    version: str


def _folder(name: str, root: Root) -> Iterator[_Row]:
    """Class = first folder below ``root``; images may lie at any depth below it."""
    fs = root.fs
    if not fs.isdir(root.path):
        raise ConfigError(
            f"datasets.{name}.path: must be a folder of class folders, got {root.url}"
        )
    for folder in sorted(e.path for e in _entries(fs, root.path) if e.is_folder):
        class_name = posixpath.basename(folder)
        for entry in _walk(fs, folder):
            below = entry.path[len(root.path) + 1 :]
            yield below, root.uri(entry.path), class_name, entry.version


def _walk(fs: fsspec.AbstractFileSystem, folder: str) -> Iterator[_Entry]:
    folders = []
    for entry in _entries(fs, folder):
        if entry.is_folder:
            folders.append(entry.path)
        elif entry.path.lower().endswith(IMAGE_SUFFIXES):
            yield entry
    for below in sorted(folders):
        yield from _walk(fs, below)


def _entries(fs: fsspec.AbstractFileSystem, folder: str) -> Iterator[_Entry]:
    """What lies in one folder, hidden names left out; local folders one entry at a time."""
    if _is_local(fs):
        with os.scandir(folder) as found:
            for item in found:
                if not item.name.startswith(".") and not _is_special(folder, item):
                    yield _local_entry(folder, item)
        return
    for info in fs.ls(folder, detail=True):
        path = info["name"].rstrip("/")
        hidden = posixpath.basename(path).startswith(".")
        if path != folder and not hidden and info["type"] != "other":
            yield _Entry(path, info["type"] == "directory", _version(info))


def _is_special(folder: str, item: os.DirEntry[str]) -> bool:
    """Whether reading it could wait for ever: pipes, sockets and devices, or links to them.

    A link that leads nowhere is none: it is listed, and reading it says what is wrong.
    """
    return not (item.is_file() or item.is_dir()) and Path(folder, item.name).exists()


def _local_entry(folder: str, item: os.DirEntry[str]) -> _Entry:
    path = f"{folder}/{item.name}"
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(f"file names must be valid UTF-8, got {path!r}") from None
    if not item.is_dir():
        return _Entry(path, False, _stat(path))
    if item.is_symlink() and Path(folder).resolve().is_relative_to(Path(path).resolve()):
        raise OSError(errno.ELOOP, "folder links to one above it", path)
    return _Entry(path, True, "")


def _is_local(fs: fsspec.AbstractFileSystem) -> bool:
    return isinstance(fs, LocalFileSystem)


def file_version(fs: fsspec.AbstractFileSystem, path: str) -> str:
    """The state of one file, as `images.version` records it; raises OSError."""
    return _stat(path) if _is_local(fs) else _version(fs.info(path))


def _stat(path: str) -> str:
    try:
        found = Path(path).stat()
    except OSError:
        return ""  # vanished or forbidden: reading it will say so, as a row of `failures`
    return f"{found.st_size}-{found.st_mtime_ns}"


def _version(info: dict[str, Any]) -> str:
    """The store's word for a file's state: its etag or checksum, else size and time."""
    for key in ("ETag", "etag", "checksum", "md5Hash"):
        if info.get(key):
            return str(info[key]).strip('"')
    times = (info.get(key) for key in ("LastModified", "mtime", "updated", "created"))
    return f"{info.get('size', '')}-{next(filter(None, times), '')}"


# -- manifests ----------------------------------------------------------------------------------


def _manifest(name: str, root: Root, path: str) -> Iterator[pa.Table]:
    """CSV or Parquet with the columns ``path`` and ``label``; paths may be relative to it."""
    first_row = 2 if path.lower().endswith((".csv", ".csv.gz")) else 1  # as an editor counts
    for batch in _manifest_batches(name, root.fs, path):
        _refuse_empty(name, path, batch, first_row)
        rows = zip(batch["path"].to_pylist(), batch["label"].to_pylist(), strict=True)
        yield from _tables(_manifest_row(root, image, label) for image, label in rows)
        first_row += len(batch)


def _manifest_batches(
    name: str, fs: fsspec.AbstractFileSystem, path: str
) -> Iterator[pa.RecordBatch]:
    columns = {"path": pa.string(), "label": pa.string()}
    if path.lower().endswith((".csv", ".csv.gz")):
        quoting = pa.csv.ParseOptions(newlines_in_values=True)
        with fs.open(path, "rb", compression="infer") as file:
            _require(name, path, pa.csv.open_csv(file, parse_options=quoting).schema.names)
        # Other columns are not even parsed: what they seem to hold may change on the way.
        options = pa.csv.ConvertOptions(column_types=columns, include_columns=list(columns))
        with (
            fs.open(path, "rb", compression="infer") as file,
            pa.csv.open_csv(file, parse_options=quoting, convert_options=options) as reader,
        ):
            yield from reader
        return
    source = pa.dataset.dataset(path, filesystem=fs, format="parquet")
    _require(name, path, source.schema.names)
    for batch in source.to_batches(columns=list(columns), batch_size=BATCH):
        arrays = [batch[column].cast(kind) for column, kind in columns.items()]
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _require(name: str, path: str, found: list[str]) -> None:
    for column in ("path", "label"):
        if column not in found:
            raise DatasetError(
                f"dataset {name}: manifest {path} must have the columns path and label, "
                f"got {', '.join(found)}"
            )


def _refuse_empty(name: str, path: str, batch: pa.RecordBatch, first_row: int) -> None:
    for column in ("path", "label"):
        missing = pc.equal(pc.fill_null(batch[column], ""), "")
        if pc.any(missing).as_py():
            row = first_row + pc.index(missing, True).as_py()
            raise DatasetError(
                f"dataset {name}: manifest {path} row {row}: {column} must not be empty"
            )


def _manifest_row(root: Root, image: str, label: str) -> _Row:
    image = image.removeprefix("file://")
    if "://" in image:
        return image, image, label, ""
    full = posixpath.normpath(posixpath.join(root.path, image))  # an absolute one stands alone
    inside = full.startswith(f"{root.path}/")
    below = full[len(root.path) + 1 :] if inside else posixpath.normpath(image)
    # Asking another store for the state of every image of a manifest would take too long.
    return below, root.uri(full), label, _stat(full) if _is_local(root.fs) else ""

"""Which images a dataset has: class folders or a manifest, read as a stream (driver).

Every listing is an iterator of Arrow tables with the columns of ``LISTING``; at most ``BATCH``
images are Python objects at any time (on object stores: the listing of one folder).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from kdsspark.config import Dataset
from kdsspark.errors import DatasetError
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
    """Every image of a dataset that comes as images; raises :class:`DatasetError`."""
    assert dataset.path is not None
    fs, root = url_to_fs(dataset.path)
    try:
        if dataset.layout == "folder":
            yield from _tables(_folder(dataset.name, fs, root.rstrip("/")))
        else:
            yield from _manifest(dataset.name, fs, root)
    except (OSError, pa.ArrowInvalid) as error:
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


# -- folders ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    path: str
    is_folder: bool
    version: str


def _folder(name: str, fs: fsspec.AbstractFileSystem, root: str) -> Iterator[_Row]:
    """Class = first folder below ``root``; images may lie at any depth below it."""
    if not fs.isdir(root):
        raise DatasetError(f"dataset {name}: path must be a folder of class folders, got {root}")
    for folder in sorted(e.path for e in _entries(fs, root) if e.is_folder):
        class_name = posixpath.basename(folder)
        for entry in _walk(fs, folder):
            yield entry.path[len(root) + 1 :], _uri(fs, entry.path), class_name, entry.version


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
                if not item.name.startswith("."):
                    yield _Entry(f"{folder}/{_utf8(item.name)}", item.is_dir(), _stat(item.path))
        return
    for info in fs.ls(folder, detail=True):
        path = info["name"].rstrip("/")
        if path != folder and not posixpath.basename(path).startswith("."):
            yield _Entry(path, info["type"] == "directory", _version(info))


def _is_local(fs: fsspec.AbstractFileSystem) -> bool:
    return isinstance(fs, LocalFileSystem)


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DatasetError(f"file names must be valid UTF-8, got {name!r}") from None
    return name


def _uri(fs: fsspec.AbstractFileSystem, path: str) -> str:
    return path if _is_local(fs) else str(fs.unstrip_protocol(path))


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
    time = info.get("LastModified") or info.get("mtime") or info.get("updated") or ""
    return f"{info.get('size', '')}-{time}"


# -- manifests ----------------------------------------------------------------------------------


def _manifest(name: str, fs: fsspec.AbstractFileSystem, path: str) -> Iterator[pa.Table]:
    """CSV or Parquet with the columns ``path`` and ``label``; paths may be relative to it."""
    root = posixpath.dirname(path)
    first_row = 2 if path.lower().endswith((".csv", ".csv.gz")) else 1  # as an editor counts
    for batch in _manifest_batches(name, fs, path):
        _refuse_empty(name, path, batch, first_row)
        rows = zip(batch["path"].to_pylist(), batch["label"].to_pylist(), strict=True)
        yield from _tables(_manifest_row(fs, root, image, label) for image, label in rows)
        first_row += len(batch)


def _manifest_batches(
    name: str, fs: fsspec.AbstractFileSystem, path: str
) -> Iterator[pa.RecordBatch]:
    columns = {"path": pa.string(), "label": pa.string()}
    if path.lower().endswith((".csv", ".csv.gz")):
        with fs.open(path, "rb", compression="infer") as file:
            options = pa.csv.ConvertOptions(column_types=columns)
            reader = pa.csv.open_csv(file, convert_options=options)
            _require(name, path, reader.schema.names)
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


def _manifest_row(fs: fsspec.AbstractFileSystem, root: str, image: str, label: str) -> _Row:
    if "://" in image:
        return image, image, label, ""
    full = posixpath.normpath(posixpath.join(root, image))  # an absolute `image` stands alone
    below = full[len(root) + 1 :] if full.startswith(f"{root}/") else full
    return below, _uri(fs, full), label, _stat(full) if _is_local(fs) else ""

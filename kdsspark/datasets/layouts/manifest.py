"""Layout ``manifest``: CSV or Parquet with the columns ``path``, ``label`` and perhaps ``version``.

A version is any word for the state of an image's file, an etag say; where it changes, the image is
read again. Without one, only the files of this machine are asked for their state.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

from kdsspark.config import Dataset
from kdsspark.datasets.listing import BATCH, Root, Row, tables
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.filesystems import file_version, is_local

_REQUIRED: Final = ("path", "label")
_COLUMNS: Final = (*_REQUIRED, "version")


def read(dataset: Dataset, root: Root) -> Iterator[pa.Table]:
    """The images that a manifest names; their paths may be relative to its folder."""
    name, path = dataset.name, root.path
    if not root.fs.exists(path):
        raise ConfigError(
            f"datasets.{name}.path: must be a readable CSV or Parquet file, got {dataset.path}"
        )
    folder = root.parent
    first_row = 2 if path.lower().endswith((".csv", ".csv.gz")) else 1  # as an editor counts
    for batch in _batches(name, root.fs, path):
        _refuse_empty(name, path, batch, first_row)
        rows = zip(*(batch[column].to_pylist() for column in _COLUMNS), strict=True)
        yield from tables(_row(folder, *row) for row in rows)
        first_row += len(batch)


def _batches(name: str, fs: fsspec.AbstractFileSystem, path: str) -> Iterator[pa.RecordBatch]:
    """The rows as text, all of ``_COLUMNS``; versions are null where there is no such column."""
    if path.lower().endswith((".csv", ".csv.gz")):
        yield from _batches_of_csv(name, fs, path)
        return
    # Each file by its own schema: of a folder, only the files that came later may have versions.
    for file in pa.dataset.dataset(path, filesystem=fs, format="parquet").get_fragments():
        found = file.physical_schema.names
        _require(name, path, found)
        wanted = [column for column in _COLUMNS if column in found]
        for batch in file.to_batches(columns=wanted, batch_size=BATCH):
            nulls = pa.nulls(len(batch), pa.string())
            arrays = [batch[c].cast(pa.string()) if c in wanted else nulls for c in _COLUMNS]
            yield pa.RecordBatch.from_arrays(arrays, names=list(_COLUMNS))


def _batches_of_csv(
    name: str, fs: fsspec.AbstractFileSystem, path: str
) -> Iterator[pa.RecordBatch]:
    quoting = pa.csv.ParseOptions(newlines_in_values=True)
    with fs.open(path, "rb", compression="infer") as file:
        _require(name, path, pa.csv.open_csv(file, parse_options=quoting).schema.names)
    # Other columns are not even parsed: what they seem to hold may change on the way.
    options = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(_COLUMNS, pa.string()),
        include_columns=_COLUMNS,
        include_missing_columns=True,
    )
    with (
        fs.open(path, "rb", compression="infer") as file,
        pa.csv.open_csv(file, parse_options=quoting, convert_options=options) as reader,
    ):
        yield from reader


def _require(name: str, path: str, found: list[str]) -> None:
    for column in _REQUIRED:
        if column not in found:
            raise DatasetError(
                f"dataset {name}: manifest {path} must have the columns path and label, "
                f"got {', '.join(found)}"
            )


def _refuse_empty(name: str, path: str, batch: pa.RecordBatch, first_row: int) -> None:
    for column in _REQUIRED:
        missing = pc.equal(pc.fill_null(batch[column], ""), "")
        if pc.any(missing).as_py():
            row = first_row + pc.index(missing, True).as_py()
            raise DatasetError(
                f"dataset {name}: manifest {path} row {row}: {column} must not be empty"
            )


def _row(root: Root, image: str, label: str, version: str | None) -> Row:
    if is_local(root.fs):
        image = image.removeprefix("file://")
    if "://" in image:
        return image, image, label, version or ""
    full = posixpath.normpath(posixpath.join(root.path, image))  # an absolute one stands alone
    inside = full.startswith(f"{root.path}/")
    below = root.below(full) if inside else posixpath.normpath(image)
    if not version and is_local(root.fs):  # asking another store for every image takes too long
        version = file_version(root.fs, full)
    return below, root.uri(full), label, version or ""

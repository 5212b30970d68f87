"""Layout ``manifest``: CSV or Parquet with the columns ``path`` and ``label``."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

from kdsspark.config import Dataset
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.storage.listing import BATCH, Root, Row, file_version, is_local, tables


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
        rows = zip(batch["path"].to_pylist(), batch["label"].to_pylist(), strict=True)
        yield from tables(_row(folder, image, label) for image, label in rows)
        first_row += len(batch)


def _batches(name: str, fs: fsspec.AbstractFileSystem, path: str) -> Iterator[pa.RecordBatch]:
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


def _row(root: Root, image: str, label: str) -> Row:
    image = image.removeprefix("file://")
    if "://" in image:
        return image, image, label, ""
    full = posixpath.normpath(posixpath.join(root.path, image))  # an absolute one stands alone
    inside = full.startswith(f"{root.path}/")
    below = root.below(full) if inside else posixpath.normpath(image)
    # Asking another store for the state of every image of a manifest would take too long.
    return below, root.uri(full), label, file_version(root.fs, full) if is_local(root.fs) else ""

"""Embeddings made elsewhere: Parquet files with a label column and columns of lists.

Each column of fixed-length lists of floating point numbers is a layer, its positions are the
units. Rows are named by their file and position, or by an ``image_id`` column where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from kdsspark.config import Dataset
from kdsspark.errors import DatasetError
from kdsspark.storage.listing import BATCH, LISTING, file_version

Layers = dict[str, int]


@dataclass(frozen=True)
class Source:
    """The files of one ready-made dataset, and its layers: name -> (width, element type)."""

    dataset: Dataset
    files: tuple[str, ...]
    widths: dict[str, int]
    value_types: dict[str, pa.DataType]

    @property
    def fs(self) -> fsspec.AbstractFileSystem:
        """The file system of the files."""
        return url_to_fs(self.dataset.embeddings)[0]


def source(dataset: Dataset) -> Source:
    """Find the files and what they hold (driver); raises :class:`DatasetError`.

    Widths are taken from the first row; every other row is held against them by :func:`batches`.
    """
    fs, path = url_to_fs(dataset.embeddings)
    found = [path] if fs.isfile(path) else fs.find(path) if fs.exists(path) else []
    files = tuple(sorted(f for f in found if f.endswith((".parquet", ".pq"))))
    if not files:
        raise DatasetError(
            f"dataset {dataset.name}: embeddings must be Parquet, found none at {path}"
        )
    first = Source(dataset, files, {}, {})
    with _open(first, files[0]) as file:
        types = _layer_types(first, files[0], file.schema_arrow)
        head = next(file.iter_batches(batch_size=1, columns=list(types)), None)
    if head is None or not len(head):
        raise DatasetError(f"dataset {dataset.name}: {files[0]} has no rows")
    widths = {name: pc.list_value_length(head[name])[0].as_py() or 0 for name in types}
    return Source(dataset, files, widths, types)


def listing(source: Source) -> Iterator[pa.Table]:
    """The rows of every file with their labels, in order, as :mod:`listing` gives images."""
    label = source.dataset.label
    for path in source.files:
        version, row = file_version(source.fs, path), 0
        with _open(source, path) as file:
            named = "image_id" in file.schema_arrow.names
            columns = [label, "image_id"] if named else [label]
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                rows = [f"{path}#{row + i}" for i in range(len(batch))]
                names = batch["image_id"].cast(pa.string()) if named else _below(source, rows)
                labels = _labels(source, path, batch[label])
                versions = [version] * len(batch)
                yield pa.Table.from_arrays(
                    [names, pa.array(rows, pa.string()), labels, pa.array(versions, pa.string())],
                    schema=LISTING,
                )
                row += len(batch)


def batches(source: Source, path: str, rows: int) -> Iterator[dict[str, pa.Array]]:
    """Layer -> list array of one file, at most ``rows`` images at a time (executor).

    Raises :class:`DatasetError` naming file, column and row for lists of another length than the
    first row's, and for nulls.
    """
    first = 0
    with _open(source, path) as file:
        types = _layer_types(source, path, file.schema_arrow)
        if set(types) != set(source.widths):
            raise DatasetError(
                f"dataset {source.dataset.name}: {path} must have the layers "
                f"{', '.join(source.widths)}, got {', '.join(types)}"
            )
        for batch in file.iter_batches(batch_size=rows, columns=list(source.widths)):
            yield {name: _checked(source, path, name, batch[name], first) for name in source.widths}
            first += len(batch)


def _open(source: Source, path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(source.fs.open(path, "rb"))
    except (OSError, pa.ArrowInvalid) as error:
        raise DatasetError(
            f"dataset {source.dataset.name}: {path} is not readable Parquet: "
            f"{' '.join(str(error).split())}"
        ) from error


def _layer_types(source: Source, path: str, schema: pa.Schema) -> dict[str, pa.DataType]:
    """Layer -> stored element type; float16 becomes float32, which holds it exactly."""
    where = f"dataset {source.dataset.name}: {path}"
    if source.dataset.label not in schema.names:
        raise DatasetError(
            f"{where} must have the label column {source.dataset.label}, "
            f"got {', '.join(schema.names)}"
        )
    layers = {}
    for field in schema:
        if _is_list(field.type) and pa.types.is_floating(field.type.value_type):
            double = pa.types.is_float64(field.type.value_type)
            layers[field.name] = pa.float64() if double else pa.float32()
    if not layers:
        raise DatasetError(
            f"{where} must have a column of fixed-length lists of floats, "
            f"got {', '.join(f'{f.name} {f.type}' for f in schema)}"
        )
    return layers


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    )


def _below(source: Source, rows: list[str]) -> pa.Array:
    root = url_to_fs(source.dataset.embeddings)[1].rstrip("/")
    return pa.array([row.removeprefix(root).lstrip("/") for row in rows], pa.string())


def _labels(source: Source, path: str, labels: pa.Array) -> pa.Array:
    if labels.null_count:
        row = pc.index(labels.is_null(), True).as_py()
        raise DatasetError(
            f"dataset {source.dataset.name}: {path} row {row}: {source.dataset.label} is null"
        )
    return labels.cast(pa.string())


def _checked(source: Source, path: str, name: str, lists: pa.Array, first: int) -> pa.Array:
    width = source.widths[name]
    where = f"dataset {source.dataset.name}: {path} column {name}"
    lengths = pc.list_value_length(lists)
    wrong = pc.fill_null(pc.not_equal(lengths, width), True)
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        raise DatasetError(
            f"{where} row {first + row}: must have {width} values, got {lengths[row].as_py()}"
        )
    values = pc.list_flatten(lists)
    if values.null_count:
        row = pc.index(values.is_null(), True).as_py() // max(width, 1)
        raise DatasetError(f"{where} row {first + row}: has a null among its values")
    offsets = pa.array(range(0, (len(lists) + 1) * width, max(width, 1)), pa.int32())
    return pa.ListArray.from_arrays(offsets, values.cast(source.value_types[name]))

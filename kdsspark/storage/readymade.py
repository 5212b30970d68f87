"""Embeddings made elsewhere: Parquet files with a label column and columns of lists.

Each column of fixed-length lists of floating point numbers is a layer, its positions are the
units. Rows are named by their file and position, or by an ``image_id`` column where there is one;
errors count them from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdsspark.config import Dataset, check_layer_names
from kdsspark.errors import DatasetError
from kdsspark.storage.files import locate
from kdsspark.storage.listing import BATCH, LISTING, Root, file_version


@dataclass(frozen=True)
class Source:
    """The files of one ready-made dataset, and its layers: name -> width, and element type."""

    dataset: Dataset
    files: tuple[str, ...]
    widths: dict[str, int]
    value_types: dict[str, pa.DataType]

    @property
    def root(self) -> Root:
        """The folder of the files, or the only file."""
        url = cast(str, self.dataset.embeddings).rstrip("/")
        fs, path = locate(url)
        return Root(fs, path.rstrip("/"), url)


def source(dataset: Dataset) -> Source:
    """Find the files and what they hold (driver); raises :class:`DatasetError`.

    Widths are taken from the first row; every other row is held against them by :func:`batches`.
    """
    found = Source(dataset, _files(dataset), {}, {})
    for path in found.files:
        with _open(found, path) as file:
            types = _layer_types(found, path, file.schema_arrow)
            head = next(file.iter_batches(batch_size=1, columns=list(types)), None)
        if head is not None and len(head):
            widths = {name: _width(found, path, name, head[name]) for name in types}
            return Source(dataset, found.files, widths, types)
    raise DatasetError(f"dataset {dataset.name}: {', '.join(found.files)} has no rows")


def listing(source: Source) -> Iterator[pa.Table]:
    """The rows of every file with their labels, in order, as :mod:`listing` gives images."""
    root = source.root
    for path in source.files:
        version, uri, row = file_version(root.fs, path), root.uri(path), 0
        with _open(source, path) as file:
            columns = [
                c for c in (source.dataset.label, "image_id") if c in file.schema_arrow.names
            ]
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                rows = [f"#{row + i}" for i in range(len(batch))]
                below = path.removeprefix(root.path).lstrip("/")
                if "image_id" in columns:
                    names = _texts(source, path, "image_id", batch["image_id"], row)
                else:
                    names = pa.array([below + r for r in rows], pa.string())
                labels = _texts(
                    source, path, source.dataset.label, batch[source.dataset.label], row
                )
                uris = pa.array([uri + r for r in rows], pa.string())
                versions = pa.repeat(pa.scalar(version, pa.string()), len(batch))
                yield pa.Table.from_arrays([names, uris, labels, versions], schema=LISTING)
                row += len(batch)


def batches(source: Source, path: str, rows: int) -> Iterator[dict[str, pa.Array]]:
    """Layer -> list array of one file, at most ``rows`` images at a time (executor).

    Raises :class:`DatasetError` naming file, column and row for lists of another length than the
    first row's, and for nulls.
    """
    first = 0
    with _open(source, path) as file:
        types = _layer_types(source, path, file.schema_arrow)
        if types != source.value_types:
            raise DatasetError(
                f"dataset {source.dataset.name}: {path} must have the layers "
                f"{_in_words(source.value_types)}, got {_in_words(types)}"
            )
        for batch in file.iter_batches(batch_size=rows, columns=list(source.widths)):
            yield {name: _checked(source, path, name, batch[name], first) for name in source.widths}
            first += len(batch)


def _files(dataset: Dataset) -> tuple[str, ...]:
    """The Parquet files of a folder, or one file whatever its name."""
    where = f"dataset {dataset.name}: embeddings {dataset.embeddings}"
    try:
        fs, root = locate(cast(str, dataset.embeddings))
        fs.invalidate_cache()
        if fs.isfile(root):
            return (root,)
        found = fs.find(root) if fs.exists(root) else []
    except (OSError, ValueError, ImportError) as error:
        raise DatasetError(f"{where} cannot be read: {' '.join(str(error).split())}") from error
    files = [f for f in found if f.lower().endswith((".parquet", ".pq")) and not _hidden(f, root)]
    if not files:
        raise DatasetError(f"{where} must be a Parquet file or a folder of some, found none")
    return tuple(sorted(files))


def _hidden(path: str, root: str) -> bool:
    """Whether a name below ``root`` begins like the temporary files of other programs."""
    return any(part.startswith((".", "_")) for part in path.removeprefix(root).split("/"))


@contextmanager
def _open(source: Source, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with source.root.fs.open(path, "rb") as raw, pq.ParquetFile(raw) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
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
    lists = [f for f in schema if _is_list(f.type) and pa.types.is_floating(f.type.value_type)]
    if not lists:
        raise DatasetError(
            f"{where} must have a column of fixed-length lists of floats, "
            f"got {', '.join(f'{f.name} {f.type}' for f in schema)}"
        )
    try:
        check_layer_names(field.name for field in lists)
    except ValueError as error:
        raise DatasetError(f"{where} list columns: {error}") from None
    doubles = {field.name: pa.types.is_float64(field.type.value_type) for field in lists}
    return {name: pa.float64() if double else pa.float32() for name, double in doubles.items()}


def _in_words(types: dict[str, pa.DataType]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in types.items())


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    )


def _width(source: Source, path: str, name: str, first: pa.Array) -> int:
    width: int | None = pc.list_value_length(first)[0].as_py()
    if not width:
        got = "null" if width is None else "an empty list"
        raise DatasetError(
            f"dataset {source.dataset.name}: {path} column {name} row 0: must be a list of "
            f"values, got {got}"
        )
    return width


def _texts(source: Source, path: str, column: str, values: pa.Array, first: int) -> pa.Array:
    """A column of names or whole numbers as strings; errors for nulls name the row."""
    where = f"dataset {source.dataset.name}: {path}"
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ):
        raise DatasetError(f"{where} column {column}: must be strings or integers, got {kind}")
    if values.null_count:
        row = first + pc.index(values.is_null(), True).as_py()
        raise DatasetError(f"{where} column {column} row {row}: must not be null")
    return values.cast(pa.string())


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

"""Layout ``huggingface``: Parquet with the columns ``image`` and ``label``.

``image`` is a struct ``{bytes, path}``, or the bytes themselves. ``label`` is a name, or a number
whose name is in the schema's metadata, as the library ``datasets`` writes both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts.containers import Container, containers
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import BATCH, LISTING, Root, refuse_repeated
from kdsspark.errors import DatasetError


def read(dataset: ImageDataset, root: Root, left_out: LeftOut) -> Iterator[pa.Table]:
    """Every row of every file; images are not read."""
    names: list[str] | None = None
    for number, file in enumerate(containers(dataset, root, (".parquet", ".pq"), left_out)):
        where = f"dataset {dataset.name}: {file.uri}"
        with _open(where, root.fs, file.path) as parquet:
            _check_columns(where, parquet.schema_arrow)
            here = _class_names(where, parquet.schema_arrow)
            if number and here != names:
                raise DatasetError(f"{where} must have the class names of the files before it")
            names = here
            yield from _tables(where, parquet, file, names)


def _tables(
    where: str, parquet: pq.ParquetFile, file: Container, names: list[str] | None
) -> Iterator[pa.Table]:
    first = 0
    for batch in parquet.iter_batches(batch_size=BATCH, columns=["label"]):
        labels = _labels(where, batch["label"], names, first)
        rows = [f"#{first + i}" for i in range(len(batch))]
        paths, uris = (pa.array([f"{of}{row}" for row in rows]) for of in (file.below, file.uri))
        versions = pa.repeat(pa.scalar(file.version, pa.string()), len(batch))
        yield pa.Table.from_arrays([paths, uris, labels, versions], schema=LISTING)
        first += len(batch)


@contextmanager
def _open(where: str, fs: fsspec.AbstractFileSystem, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with fs.open(path, "rb") as raw, pq.ParquetFile(raw) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        text = " ".join(str(error).split())
        raise DatasetError(f"{where} is not readable Parquet: {text}") from error


def _check_columns(where: str, schema: pa.Schema) -> None:
    refuse_repeated(where, schema.names, ("image", "label"))
    types = dict(zip(schema.names, schema.types, strict=True))
    image, label = types.get("image"), types.get("label")
    if image is not None and pa.types.is_struct(image):
        at = image.get_field_index("bytes")
        image = image.field(at).type if at >= 0 else None
    if label is not None and pa.types.is_dictionary(label):
        label = label.value_type
    if not (_is_binary(image) and _is_label(label)):
        raise DatasetError(
            f"{where} must have the columns image (a struct with bytes, or bytes) and label "
            f"(strings or integers), got {', '.join(f'{f.name} {f.type}' for f in schema)}"
        )


def _is_binary(kind: pa.DataType | None) -> bool:
    return kind is not None and bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_label(kind: pa.DataType | None) -> bool:
    tests = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
    return kind is not None and any(test(kind) for test in tests)


def _class_names(where: str, schema: pa.Schema) -> list[str] | None:
    """The names of the numbers 0, 1, ..; None where the metadata have none."""
    metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(metadata).get("info", {}).get("features", {})
        names: list[str] | None = features.get("label", {}).get("names")
    except (ValueError, AttributeError) as error:
        raise DatasetError(f"{where} metadata huggingface: must name features: {error}") from error
    if names is not None and len(set(names)) < len(names):
        raise DatasetError(f"{where} metadata huggingface: names of classes must be different")
    return names


def _labels(where: str, labels: pa.Array, names: list[str] | None, first: int) -> pa.Array:
    """Class names of consecutive rows, the first of which is row ``first`` of the file."""
    if not pa.types.is_integer(labels.type) or names is None:
        wrong, expected = labels.is_null(), "be a class"
        names_of = labels.cast(pa.string())
    else:
        outside = pc.or_(pc.less(labels, 0), pc.greater_equal(labels, len(names)))
        wrong, expected = pc.fill_null(outside, True), f"be one of 0 .. {len(names) - 1}"
        names_of = pc.take(pa.array(names, pa.string()), pc.if_else(wrong, None, labels))
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        raise DatasetError(
            f"{where} row {first + row}: label must {expected}, got {labels[row].as_py()}"
        )
    return names_of

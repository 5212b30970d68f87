"""Layout ``manifest``: CSV or Parquet with the columns ``path``, ``label`` and perhaps ``version``.

A version is any text that stands for the state of an image's file, an etag for example; where it
changes, the image is read again. Without one, the state of a file is known only on this machine.

With ``labels: several``, a label is a list of names: a JSON array, or in Parquet also a list. Its
text is that of :mod:`kdsspark.datasets.several`.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from kdsspark.config import ImageDataset
from kdsspark.datasets import several
from kdsspark.datasets.layouts import csv_text
from kdsspark.datasets.layouts.paths import joined, understood
from kdsspark.datasets.left_out import HIDDEN, LeftOut
from kdsspark.datasets.listing import BATCH, Root, Row, refuse_repeated, tables
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.filesystems import file_version, is_local

_CSV: Final = (".csv", ".csv.gz")
_REQUIRED: Final = ("path", "label")
_COLUMNS: Final = (*_REQUIRED, "version")


def read(dataset: ImageDataset, root: Root, left_out: LeftOut) -> Iterator[pa.Table]:
    """The images that a manifest names; their paths may be relative to its folder."""
    path = root.path
    if not root.fs.exists(path):
        raise ConfigError(
            f"datasets.{dataset.name}.path: must be a readable CSV or Parquet file, "
            f"got {dataset.path}"
        )
    where = f"dataset {dataset.name}: manifest {path}"
    is_csv = path.lower().endswith(_CSV)
    first_row = 2 if is_csv else 1  # as an editor counts
    batches = _csv(where, root) if is_csv else _parquet(where, root, left_out, dataset.several)
    for batch in batches:
        if dataset.several:
            batch = _with_lists(where, batch, first_row)
        _refuse_empty(where, batch, first_row)
        yield from tables(_rows(where, root.parent, batch, first_row))
        first_row += len(batch)


# -- files: the rows as text, with all of ``_COLUMNS``; versions are null without such a column ---


def _parquet(where: str, root: Root, left_out: LeftOut, lists: bool) -> Iterator[pa.RecordBatch]:
    from pyarrow import dataset  # imports pandas

    _count_hidden(root, left_out)
    # Each file by its own schema: in a folder, perhaps only the later files have versions.
    none = pa.schema([])
    found = dataset.dataset(root.path, schema=none, filesystem=root.fs, format="parquet")
    for file in found.get_fragments():
        names = _names(where, file)
        _require(where, names)
        if not lists:
            _refuse_lists(where, file)
        wanted = [column for column in _COLUMNS if column in names]
        for batch in file.to_batches(columns=wanted, batch_size=BATCH):
            nulls = pa.nulls(len(batch), pa.string())
            arrays = [_texts(batch[c], c == "label") if c in wanted else nulls for c in _COLUMNS]
            yield pa.RecordBatch.from_arrays(arrays, names=list(_COLUMNS))


def _names(where: str, file: pa.dataset.Fragment) -> list[str]:
    try:
        names: list[str] = file.physical_schema.names
    except pa.ArrowInvalid as error:
        expected = f"{where} must be CSV, named {' or '.join(_CSV)}, or Parquet"
        raise DatasetError(f"{expected}: {' '.join(str(error).split())}") from error
    return names


def _texts(values: pa.Array, lists: bool) -> pa.Array:
    """Values of any type as text; NaN, which marks missing floats, as null; ``lists`` as JSON."""
    if lists and _is_list(values.type):
        return pa.array([v if v is None else json.dumps(v) for v in values.to_pylist()])
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    return values.cast(pa.string())


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _refuse_lists(where: str, file: pa.dataset.Fragment) -> None:
    kind = file.physical_schema.field("label").type
    if _is_list(kind):
        raise DatasetError(f"{where}: label must be one name, or labels several, got {kind}")


def _count_hidden(root: Root, left_out: LeftOut) -> None:
    """Count the files that Arrow does not take for parts of a folder of Parquet."""
    for path in root.fs.find(root.path) if root.fs.isdir(root.path) else ():
        if any(part.startswith((".", "_")) for part in root.below(path).split("/")):
            left_out.add(path, HIDDEN)


def _csv(where: str, root: Root) -> Iterator[pa.RecordBatch]:
    fs, path = root.fs, root.path
    csv_text.refuse_damaged(where, fs, path)
    quoting = pa.csv.ParseOptions(newlines_in_values=True)
    with csv_text.utf8(where, fs, path):
        with fs.open(path, "rb", compression="infer") as file:
            _require(where, pa.csv.open_csv(file, parse_options=quoting).schema.names)
        # Other columns are not parsed: the values that they seem to hold may change on the way.
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


def _require(where: str, found: list[str]) -> None:
    for column in _REQUIRED:
        if column not in found:
            raise DatasetError(
                f"{where} must have the columns path and label, got {', '.join(found)}"
            )
    refuse_repeated(where, found, _COLUMNS)


# -- rows ---------------------------------------------------------------------------------------


def _refuse_empty(where: str, batch: pa.RecordBatch, first_row: int) -> None:
    for column in _REQUIRED:
        texts = pc.utf8_trim_whitespace(pc.fill_null(batch[column], ""))
        missing = pc.equal(texts, "")
        if pc.any(missing).as_py():
            row = first_row + pc.index(missing, True).as_py()
            raise DatasetError(f"{where} row {row}: {column} must not be empty")


def _with_lists(where: str, batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
    """The rows with each label as the text that stands for its list."""
    texts = []
    for number, cell in enumerate(batch["label"].to_pylist(), start=first_row):
        try:
            texts.append(several.understood(cell or ""))
        except ValueError as error:
            raise DatasetError(f"{where} row {number}: label {error}") from None
    return batch.set_column(batch.schema.get_field_index("label"), "label", pa.array(texts))


def _rows(where: str, folder: Root, batch: pa.RecordBatch, first_row: int) -> Iterator[Row]:
    columns = (batch[column].to_pylist() for column in _COLUMNS)
    for number, row in enumerate(zip(*columns, strict=True), start=first_row):
        try:
            yield _row(folder, *row)
        except ValueError as error:
            raise DatasetError(f"{where} row {number}: path {error}") from None


def _row(folder: Root, path: str, label: str, version: str | None) -> Row:
    path = understood(folder, path)
    if "://" in path:
        return path, path, label, version or ""
    full = joined(folder, path)
    if not version and is_local(folder.fs):  # asking another store for each image takes too long
        version = file_version(folder.fs, full)
    inside = full.startswith(f"{folder.path}/")
    below = folder.below(full) if inside else posixpath.normpath(path)
    return below, folder.uri(full), label, version or ""

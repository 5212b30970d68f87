"""Ready-made embeddings as Parquet columns: lists become layers, labels and ids become strings.

``where`` is the beginning of errors: dataset, file and perhaps column. Rows count from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from kdsspark.config.types import check_layer_names
from kdsspark.errors import ConfigError, DatasetError

_LISTS: Final = (kinds.is_list, kinds.is_fixed_size_list, kinds.is_large_list)
_NAMES: Final = (kinds.is_integer, kinds.is_string, kinds.is_large_string, kinds.is_string_view)


def layer_types(where: str, schema: pa.Schema) -> dict[str, pa.DataType]:
    """Layer -> stored element type; float16 becomes float32, which holds it exactly."""
    lists = [f for f in schema if _is_list(f.type) and kinds.is_floating(f.type.value_type)]
    if not lists:
        raise DatasetError(
            f"{where} must have a column of fixed-length lists of floats, "
            f"got {', '.join(f'{f.name} {f.type}' for f in schema)}"
        )
    try:
        check_layer_names(field.name for field in lists)
    except ValueError as error:
        raise DatasetError(f"{where} list columns: {error}") from None
    doubles = {field.name: kinds.is_float64(field.type.value_type) for field in lists}
    return {name: pa.float64() if double else pa.float32() for name, double in doubles.items()}


def refuse_other_types(
    where: str, found: Mapping[str, pa.DataType], expected: Mapping[str, pa.DataType]
) -> None:
    """Raise :class:`DatasetError` unless two files have the same layers of the same types."""
    if found != expected:
        raise DatasetError(
            f"{where} must have the layers {_in_words(expected)}, got {_in_words(found)}"
        )


def first_width(where: str, lists: pa.Array) -> int:
    """The length of the first list, which all others must have."""
    found: int | None = pc.list_value_length(lists)[0].as_py()
    if not found:
        got = "null" if found is None else "an empty list"
        raise DatasetError(f"{where} row 0: must be a list of values, got {got}")
    return found


def checked(where: str, lists: pa.Array, width: int, kind: pa.DataType, first: int) -> pa.Array:
    """The lists with elements of one type.

    ``first`` is the row of the first list in the file. Raises :class:`DatasetError` for a list of
    another length than ``width`` and for nulls.
    """
    lengths = pc.list_value_length(lists)
    wrong = pc.fill_null(pc.not_equal(lengths, width), True)
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        length = lengths[row].as_py()
        got = "null" if length is None else length
        raise DatasetError(f"{where} row {first + row}: must have {width} values, got {got}")
    values = pc.list_flatten(lists)
    if values.null_count:
        row, unit = divmod(pc.index(values.is_null(), True).as_py(), width)
        raise DatasetError(f"{where} row {first + row}: value {unit} must not be null")
    return as_lists(values.cast(kind), width)


def as_lists(values: pa.Array, width: int) -> pa.ListArray:
    """Values, row after row -> one list of ``width`` values for each row."""
    offsets = np.arange(0, len(values) + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def texts(where: str, values: pa.Array, first: int) -> pa.Array:
    """A column of names or integers as strings. Raises for nulls, with the row."""
    kind = values.type.value_type if kinds.is_dictionary(values.type) else values.type
    if not any(is_name(kind) for is_name in _NAMES):
        raise DatasetError(f"{where}: must be strings or integers, got {kind}")
    if values.null_count:
        row = first + pc.index(values.is_null(), True).as_py()
        raise DatasetError(f"{where} row {row}: must not be null")
    return values.cast(pa.string())


def folder_label(where: str, below: str, column: str, stored: Sequence[str]) -> str:
    """The label that a folder gives: ``label=a%2Fb/part-0.parquet`` -> ``a/b``.

    ``below`` is the path below the root, ``stored`` the columns, none of which is the label.
    """
    from pyarrow import dataset  # imports pandas

    schema = pa.schema([(column, pa.string())])
    folders = dataset.HivePartitioning(schema, segment_encoding="uri").parse(below)
    values: dict[str, str | None] = dataset.get_partition_keys(folders)
    if column not in values:
        raise ConfigError(f"{where} must have the label column {column}, got {', '.join(stored)}")
    value = values[column]
    if value is None:
        raise DatasetError(f"{where} column {column}: must not be null")
    return value


def _in_words(types: Mapping[str, pa.DataType]) -> str:
    return ", ".join(f"{name} {kind.to_pandas_dtype().__name__}" for name, kind in types.items())


def _is_list(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _LISTS)

"""Parquet columns of ready-made embeddings, one function at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kdsspark.datasets import readymade_parquet as columns
from kdsspark.errors import ConfigError, DatasetError, KdssparkError

HALF, SINGLE, DOUBLE = pa.float16(), pa.float32(), pa.float64()


def refusal(call: Any, *arguments: Any, error: type[KdssparkError] = DatasetError) -> str:
    """What a call says after ``where``."""
    with pytest.raises(error) as caught:
        call("dataset d: x.parquet", *arguments)
    assert type(caught.value) is error
    assert str(caught.value).startswith("dataset d: x.parquet")
    return str(caught.value).removeprefix("dataset d: x.parquet")


# -- layers --------------------------------------------------------------------------------------


def test_layers_are_the_lists_of_floats_in_their_order() -> None:
    schema = pa.schema(
        {
            "label": pa.string(),
            "b": pa.list_(HALF),
            "ids": pa.list_(pa.int32()),
            "a": pa.list_(DOUBLE, 3),
            "x": pa.large_list(SINGLE),
            "number": DOUBLE,
        }
    )
    found = columns.layer_types("w", schema)
    assert list(found.items()) == [("b", SINGLE), ("a", DOUBLE), ("x", SINGLE)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"a": pa.string()}, " must have a column of fixed-length lists of floats, got a string"),
        (
            {"a": SINGLE, "b": pa.list_(pa.field("item", pa.int8()))},
            " must have a column of fixed-length lists of floats, got a float, b list<item: int8>",
        ),
        (
            {"fc": pa.list_(SINGLE), "FC": pa.list_(SINGLE)},
            " list columns: names must differ by more than case, got 'fc', 'FC'",
        ),
        (
            {"Version": pa.list_(SINGLE)},
            " list columns: names must not be those of columns, got 'Version'",
        ),
    ],
)
def test_files_without_layers_and_wrong_names_are_refused(
    fields: dict[str, pa.DataType], words: str
) -> None:
    assert refusal(columns.layer_types, pa.schema(fields)) == words


def test_two_files_must_have_the_same_layers_in_any_order() -> None:
    one, other = {"a": SINGLE, "b": DOUBLE}, {"b": DOUBLE, "a": SINGLE}
    columns.refuse_other_types("w", one, other)
    said = refusal(columns.refuse_other_types, {"a": DOUBLE}, one)
    assert said == " must have the layers a float32, b float64, got a float64"


# -- lists ---------------------------------------------------------------------------------------

KINDS = [pa.list_(SINGLE), pa.large_list(SINGLE), pa.list_(SINGLE, 2), pa.list_(HALF, 2)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_lists_come_out_with_one_element_type(kind: pa.DataType) -> None:
    lists = pa.array([[1.0, 2.0], [3.0, 4.0], [np.nan, -np.inf]], kind)
    assert columns.first_width("w", lists) == 2
    for start in range(3):  # also from the middle of an array
        found = columns.checked("w", lists.slice(start), 2, DOUBLE, start)
        assert found.type == pa.list_(DOUBLE)
        expected = np.array([[1, 2], [3, 4], [np.nan, -np.inf]])[start:]
        np.testing.assert_array_equal(np.stack(found.to_numpy(zero_copy_only=False)), expected)


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ([[], [1.0]], " row 0: must be a list of values, got an empty list"),
        ([None, [1.0]], " row 0: must be a list of values, got null"),
    ],
)
def test_the_first_list_gives_the_width(lists: list[Any], words: str) -> None:
    assert refusal(columns.first_width, pa.array(lists, pa.list_(SINGLE))) == words


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ([[1.0, 2.0], [1.0]], " row 101: must have 2 values, got 1"),
        ([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 3.0]], " row 102: must have 2 values, got 3"),
        ([[], [1.0]], " row 100: must have 2 values, got 0"),
        ([[1.0, 2.0], None, [1.0]], " row 101: must have 2 values, got null"),
        ([[1.0, 2.0], [3.0, None]], " row 101: value 1 must not be null"),
        ([[None, 2.0], [3.0, None]], " row 100: value 0 must not be null"),
    ],
)
def test_the_first_wrong_row_is_named_by_its_place_in_the_file(
    lists: list[Any], words: str
) -> None:
    arguments = (pa.array(lists, pa.list_(SINGLE)), 2, SINGLE, 100)
    assert refusal(columns.checked, *arguments) == words


@pytest.mark.parametrize(("rows", "width"), [(0, 3), (1, 3), (4, 1), (3, 5)])
def test_values_become_rows(rows: int, width: int) -> None:
    values = np.arange(rows * width, dtype=np.float32)
    found = columns.as_lists(pa.array(values), width)
    assert found.to_pylist() == values.reshape(rows, width).tolist()


# -- labels and ids ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", "\u00e9", ""]), ["a", "\u00e9", ""]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([1, -2], pa.int8()), ["1", "-2"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ["b", "a", "b"]),
        (pa.array([7, 7]).dictionary_encode(), ["7", "7"]),
        (pa.array([], pa.string()), []),
    ],
    ids=str,
)
def test_names_and_integers_are_strings(values: pa.Array, expected: list[str]) -> None:
    found = columns.texts("w", values, 0)
    assert found.type == pa.string()
    assert found.to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pa.array([1.5]), ": must be strings or integers, got double"),
        (pa.array([b"a"]), ": must be strings or integers, got binary"),
        (pa.array([True]), ": must be strings or integers, got bool"),
        (pa.array([1.5]).dictionary_encode(), ": must be strings or integers, got double"),
        (pa.array(["a", None]), " row 11: must not be null"),
        (pa.array([None, 3], pa.int32()), " row 10: must not be null"),
    ],
    ids=str,
)
def test_other_labels_are_refused(values: pa.Array, words: str) -> None:
    assert refusal(columns.texts, values, 10) == words


@pytest.mark.parametrize(
    ("below", "label"),
    [
        ("label=a/part-0.parquet", "a"),
        ("x=1/label=7/part-0.parquet", "7"),
        ("label=a%2Fb%20c/part-0.parquet", "a/b c"),
    ],
)
def test_a_folder_may_give_the_label(below: str, label: str) -> None:
    assert columns.folder_label("w", below, "label", ["x"]) == label


def test_a_folder_without_the_label_is_refused() -> None:
    missing = refusal(columns.folder_label, "y=1/a.parquet", "label", ["x", "z"], error=ConfigError)
    assert missing == " must have the label column label, got x, z"
    null = "label=__HIVE_DEFAULT_PARTITION__/a.parquet"
    said = refusal(columns.folder_label, null, "label", ["x"])
    assert said == " column label: must not be null"

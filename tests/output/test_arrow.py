"""Arrow columns as numpy arrays."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from kdsspark.output.arrow import flat_values, image_keys


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int64()])
@pytest.mark.parametrize(
    "chunks",
    [
        [[[1, 2], [3, 4]]],
        [[[1, 2]], [[3, 4], [5, 6]], []],
        [[[], [7], [8, 9, 10]]],
    ],
)
def test_lists_are_flattened_chunk_after_chunk(
    kind: pa.DataType, chunks: list[list[list[int]]]
) -> None:
    values = flat_values(pa.chunked_array(chunks, pa.list_(kind)))
    assert values.tolist() == [v for chunk in chunks for values in chunk for v in values]
    assert values.dtype == kind.to_pandas_dtype()


def test_a_part_of_a_column_has_its_own_values() -> None:
    column = pa.chunked_array([[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]], pa.list_(pa.float32()))
    assert flat_values(column.slice(1, 1)).tolist() == [2.0, 3.0]


def test_values_of_one_chunk_are_not_copied() -> None:
    column = pa.array([[0.0, 1.0], [2.0, 3.0]], pa.list_(pa.float32()))
    values = flat_values(pa.chunked_array([column]))
    assert values.ctypes.data == column.values.buffers()[1].address


def test_keys_are_the_two_halves_of_an_id() -> None:
    ids = [hashlib.blake2b(bytes([n]), digest_size=16).hexdigest() for n in range(5)]
    keys = image_keys(pa.chunked_array([ids[:2], ids[2:]]))
    assert keys.dtype == np.uint64
    assert keys.tolist() == [[int(i[:16], 16), int(i[16:], 16)] for i in ids]
    assert image_keys(pa.chunked_array([["f" * 32]])).tolist() == [[2**64 - 1] * 2]

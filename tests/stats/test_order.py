from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdsspark.stats.order import Order, Sorter

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -3.4e38]
ELEMENTS = st.sampled_from(SPECIAL) | st.floats(-1e3, 1e3, width=32)


def check(order: Order, row: np.ndarray[Any, Any]) -> None:
    finite = row[np.isfinite(row)]
    ascending = np.sort(finite)
    least = ascending[0] if ascending.size else np.inf
    assert order.lowest == least or (np.isnan(order.lowest) and not ascending.size)
    assert order.lowest != 0 or not np.signbit(order.lowest)
    above = np.isfinite(row) & (row > least)
    assert order.n == finite.size
    assert order.left_out.tolist() == np.flatnonzero(~np.isfinite(row)).tolist()
    assert sorted(order.images) == np.flatnonzero(above).tolist()
    values = row[order.images]
    assert values.tolist() == ascending[ascending > least].tolist()
    assert order.starts.tolist() == np.searchsorted(ascending, values, "left").tolist()
    assert order.ends.tolist() == np.searchsorted(ascending, values, "right").tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=150)
@given(arrays(np.float64, (3, 17), elements=ELEMENTS))
def test_order_and_runs_are_those_of_numpy(dtype: type, rows: np.ndarray[Any, Any]) -> None:
    sort = Sorter(17)
    for row in rows.astype(dtype):
        check(sort(row), row)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 2, 5000])
def test_values_of_every_size(size: int, dtype: type) -> None:
    rng = np.random.default_rng(size)
    x = rng.normal(size=size)
    scaled = x * 10.0 ** rng.integers(-37, 37, size)
    close = 1 + x * 2.0**-19
    kinds = [x, np.maximum(x, 0), scaled, close, np.round(x), np.full(size, -3.0), -np.abs(scaled)]
    sort = Sorter(size)
    for row in kinds:
        check(sort(row.astype(dtype)), row.astype(dtype))


@pytest.mark.parametrize("bits", range(1, 33))
def test_keys_as_far_apart_as_so_many_bits(bits: int) -> None:
    # From the least finite value upwards; what is not finite is left out.
    least = np.float32(-np.finfo(np.float32).max).view(np.uint32)
    steps = np.random.default_rng(bits).integers(0, 1 << bits, 300).astype(np.uint64)
    keys = np.minimum(steps + np.uint64(~least & 0xFFFFFFFF), np.uint64(0xFFFFFFFF))
    pattern = np.where(
        keys >> np.uint64(31), keys ^ np.uint64(1 << 31), keys ^ np.uint64(0xFFFFFFFF)
    )
    row = pattern.astype(np.uint32).view(np.float32)
    check(Sorter(300)(row), row)

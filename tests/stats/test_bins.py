from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdsspark.stats.bins import bin_codes, codes_dtype, feature_ranges, fill_columns
from kdsspark.stats.ranges import Ranges
from tests.stats.test_ranges import bits

ALL_BINS = [2, 100, 255, 256, 1000]
DTYPES = [np.float32, np.float64]


Array = np.ndarray[Any, Any]


def coded(values: Array, lo: Array, hi: Array, bins: int) -> Array:
    """The codes [units, images] of ``values`` [images, units]."""
    codes = np.empty(values.shape[::-1], codes_dtype(bins))
    bin_codes(values, lo, hi, bins, codes)
    return codes


def codes_of(x: Array, lo: float, hi: float, bins: int) -> Array:
    return coded(x[:, None], np.array([lo]), np.array([hi]), bins)[0]


def numpy_codes(x: Array, lo: float, hi: float, bins: int) -> list[int]:
    """The bin numpy.histogram puts each value in, asked one value at a time; bins for none."""
    wide = x.astype(np.float64)
    counts = [np.histogram(wide[i : i + 1], bins, (lo, hi))[0] for i in range(x.size)]
    return [int(c.argmax()) if c.any() else bins for c in counts]


def on_and_beside_edges(lo: float, hi: float, bins: int, dtype: type) -> Array:
    edges = np.linspace(lo, hi, bins + 1).astype(dtype)
    beside = [np.nextafter(edges, dtype(-np.inf)), np.nextafter(edges, dtype(np.inf))]
    return np.concatenate([edges, *beside])


RANGES = {
    "unit": (0.0, 1.0),
    "inexact": (0.1, 0.7),
    "negative": (-3.3, -1.1),
    "around zero": (-0.3, 0.1),
    "far": (1e6 + 0.1, 1e6 + 0.7),
    "some thousand ulps": (1.0, 1.0 + 3000 * 2.0**-52),
    "huge": (-8e307, 8e307),
    "float32 huge": (-3.4028234663852886e38, 3.4028234663852886e38),
    "tiny": (1e-310, 3e-308),
    "some thousand subnormal ulps": (0.0, 1050 * 5e-324),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bins", ALL_BINS)
@pytest.mark.parametrize("limits", RANGES.values(), ids=RANGES.keys())
def test_codes_are_those_of_numpy_on_and_beside_every_edge(
    limits: tuple[float, float], bins: int, dtype: type
) -> None:
    lo, hi = limits
    with np.errstate(all="ignore"):
        x = on_and_beside_edges(lo, hi, bins, dtype)
    x = np.concatenate([x, np.array([0.0, -0.0, np.nan, np.inf, -np.inf], dtype)])
    codes = codes_of(x, lo, hi, bins)
    counts = np.histogram(x.astype(np.float64), bins, (lo, hi))[0]
    assert np.bincount(codes, minlength=bins + 1)[:bins].tolist() == counts.tolist()
    some = np.random.default_rng(0).permutation(x.size)[:50]
    assert codes[some].tolist() == numpy_codes(x[some], lo, hi, bins)


@pytest.mark.parametrize("bins", ALL_BINS)
def test_where_edges_differ_the_inequality_holds(bins: int) -> None:
    x = np.random.default_rng(1).normal(size=5000)
    lo, hi = float(x.min()), float(x.max())
    edges = np.linspace(lo, hi, bins + 1)
    expected = np.minimum(np.searchsorted(edges, x, side="right") - 1, bins - 1)
    assert codes_of(x, lo, hi, bins).tolist() == expected.tolist()


@settings(max_examples=100)
@given(st.data(), st.sampled_from(ALL_BINS), st.sampled_from([32, 64]))
def test_codes_count_as_numpy_does(data: st.DataObject, bins: int, width: Any) -> None:
    dtype = np.dtype(f"float{width}")
    limit = float(np.float32(3e38)) if width == 32 else 8e307
    floats = st.floats(-limit, limit, width=width) | st.integers(-50, 50).map(float)
    x = data.draw(arrays(dtype, st.integers(1, 60), elements=floats))
    lo, hi = float(x.min()), float(x.max())
    try:
        counts = np.histogram(x.astype(np.float64), bins, (lo, hi))[0].tolist()
    except ValueError:  # numpy refuses where edges coincide: tested below
        return
    if lo == hi:
        counts = [x.size] + [0] * (bins - 1)
    codes = codes_of(x, lo, hi, bins)
    assert np.bincount(codes, minlength=bins).tolist() == counts


def numpys_arithmetic(x: float, lo: float, hi: float, bins: int) -> int:
    edges = [*np.linspace(lo, hi, bins + 1)[:-1].tolist(), math.inf]
    guess = min(int((x - lo) / (hi - lo) * bins), bins - 1)
    if x < edges[guess]:
        return guess - 1
    return guess + 1 if x >= edges[guess + 1] else guess


@pytest.mark.parametrize("bins", ALL_BINS)
@pytest.mark.parametrize(
    ("start", "ulps"),
    [(1.0, 1), (1.0, 3), (-1.0, 70), (1e300, 150), (0.0, 1), (0.0, 149), (-5e-324, 150), (0.0, 5)],
)
def test_where_edges_coincide_codes_are_within_one_of_the_exact_quotient(
    start: float, ulps: int, bins: int
) -> None:
    x = [start]
    for _ in range(ulps):
        x.append(math.nextafter(x[-1], math.inf))
    lo, hi = x[0], x[-1]
    codes = codes_of(np.array(x), lo, hi, bins).astype(int)
    assert (np.diff(codes) >= 0).all()
    assert codes.tolist() == [numpys_arithmetic(value, lo, hi, bins) for value in x]
    for value, code in zip(x, codes, strict=True):
        quotient = (Fraction(value) - Fraction(lo)) * bins / (Fraction(hi) - Fraction(lo))
        # The float64 quotient may be just off an integer that the exact one hits.
        nearest = {math.floor(quotient - Fraction(1, 10**9)), math.floor(quotient)}
        assert code < bins
        assert min(abs(min(n, bins - 1) - code) for n in nearest) <= 1


@pytest.mark.parametrize("bins", [2, 100, 1000])
def test_one_ulp_of_float32_is_binned_as_numpy_does(bins: int) -> None:
    x = np.array([1.0, np.nextafter(np.float32(1), np.float32(2))], np.float32)
    lo, hi = float(x[0]), float(x[1])
    assert codes_of(x, lo, hi, bins).tolist() == numpy_codes(x, lo, hi, bins) == [0, bins - 1]


@pytest.mark.parametrize("bins", ALL_BINS)
def test_where_the_width_overflows_halves_are_binned(bins: int) -> None:
    largest = float(np.finfo(np.float64).max)
    x = np.concatenate([np.random.default_rng(2).uniform(-1, 1, 500) * largest, [0.0, largest]])
    x = np.concatenate([x, [-largest, np.inf, -np.inf, np.nan]])
    codes = codes_of(x, -largest, largest, bins)
    with np.errstate(over="ignore"):  # in the last edge, which numpy then replaces
        counts = np.histogram(x / 2, bins, (-largest / 2, largest / 2))[0]
    assert np.bincount(codes, minlength=bins + 1).tolist() == [*counts.tolist(), 3]


@pytest.mark.parametrize("value", [0.0, -7.5, 1e308, 5e-324])
def test_a_constant_feature_is_in_bin_0(value: float) -> None:
    x = np.array([value, np.nan, value, np.inf, -np.inf, value])
    assert codes_of(x, value, value, 100).tolist() == [0, 100, 0, 100, 100, 0]


def test_zeros_of_either_sign_share_a_bin() -> None:
    x = np.array([0.0, -0.0, -1.0, 1.0])
    assert codes_of(x, -1.0, 1.0, 2).tolist() == [1, 1, 0, 1]
    assert codes_of(x[:2], -0.0, 0.0, 100).tolist() == [0, 0]


def test_what_is_outside_or_has_no_range_is_in_no_bin() -> None:
    x = np.array([[-1.0, 1.0], [0.5, np.nan], [2.0, np.inf]])
    codes = coded(x, np.array([0.0, np.nan]), np.array([1.0, np.nan]), 10)
    assert codes.tolist() == [[10, 5, 10], [10, 10, 10]]


@pytest.mark.parametrize(("bins", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_codes_have_the_smallest_type_that_holds_no_bin(bins: int, dtype: type) -> None:
    codes = codes_of(np.array([0.0, 1.0, np.nan]), 0.0, 1.0, bins)
    assert codes.dtype == dtype
    assert codes.tolist() == [0, bins - 1, bins]


def test_units_of_every_kind_do_not_disturb_each_other() -> None:
    x = np.random.default_rng(4).normal(size=(70, 6))
    lo, hi = x.min(axis=0), x.max(axis=0)
    largest = np.finfo(np.float64).max
    x[:, 1] = 3.5
    x[:, 2] = np.where(x[:, 2] > 0, np.nextafter(1, 2), 1)
    x[:, 3] = np.nan
    x[:, 4] *= largest / np.abs(x[:, 4]).max()
    lo[1:5], hi[1:5] = x.min(axis=0)[1:5], x.max(axis=0)[1:5]
    codes = coded(x, lo, hi, 100)
    for unit in range(6):
        assert codes[unit].tolist() == codes_of(x[:, unit], lo[unit], hi[unit], 100).tolist()
    assert [set(row.tolist()) for row in codes[[1, 3]]] == [{0}, {100}]


# One less, as many and one more than the tiles by which values are turned hold.
@pytest.mark.parametrize("images", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("units", [1, 1023, 1024, 1025])
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_and_layouts_do_not_matter(images: int, units: int, dtype: type) -> None:
    wide = np.random.default_rng(3).normal(size=(images, units + 9)).astype(dtype)
    x = wide[:, 4:-5]
    x.flags.writeable = False  # as Arrow gives it
    lo, hi = np.full(units, -2.0), np.linspace(1, 2, units)
    codes = np.full((units, images + 9), 77, np.uint8)
    columns = np.full((units, images + 9), 77, dtype)
    bin_codes(x, lo, hi, 100, codes[:, 4:-5])
    fill_columns(x, columns[:, 4:-5])
    assert (columns[:, 4:-5] == x.T).all()
    for unit in {0, units // 2, units - 1}:
        column = x[:, unit].astype(np.float64)
        counts = np.histogram(column, 100, (lo[unit], hi[unit]))[0]
        assert np.bincount(codes[unit, 4:-5], minlength=101)[:100].tolist() == counts.tolist()
    assert (codes[:, 4:-5] == coded(np.asfortranarray(x), lo, hi, 100)).all()
    for beside in (codes, columns):
        assert (beside[:, :4] == 77).all()
        assert (beside[:, -5:] == 77).all()


def test_no_units_or_images_give_no_codes() -> None:
    assert coded(np.empty((5, 0)), np.empty(0), np.empty(0), 10).shape == (0, 5)
    nothing = feature_ranges(np.empty((0, 2), np.float32))
    assert coded(np.empty((0, 2)), nothing.lo, nothing.hi, 10).shape == (2, 0)
    fill_columns(np.empty((0, 2)), np.empty((2, 0)))


@pytest.mark.parametrize(
    ("values", "lo", "hi", "bins", "message"),
    [
        (np.zeros((2, 1)), [0.0], [1.0], 1, "bins must be from 2 to 65535, got 1"),
        (np.zeros((2, 1)), [0.0], [1.0], 65536, "bins must be from 2 to 65535, got 65536"),
        (np.zeros(2), [0.0], [1.0], 10, r"must have two axes, got shape \(2,\)"),
        (np.zeros((2, 1)), [0.0, 0.0], [1.0, 1.0], 10, r"must be \(1,\), got \(2,\)"),
        (np.zeros((2, 1)), [1.0], [0.0], 10, "lo must be at most hi"),
        (np.zeros((2, 1)), [0.0], [np.inf], 10, "finite"),
    ],
)
def test_wrong_arguments_are_refused(
    values: Array, lo: list[float], hi: list[float], bins: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bin_codes(values, np.array(lo), np.array(hi), bins, np.empty((1, 2), np.uint8))


def test_arrays_that_cannot_take_the_result_are_refused() -> None:
    x, limits = np.zeros((3, 2)), (np.zeros(2), np.ones(2))
    with pytest.raises(
        ValueError, match=r"codes must be \[units, images\] = \(2, 3\), got \(3, 2\)"
    ):
        bin_codes(x, *limits, 10, np.empty((3, 2), np.uint8))
    with pytest.raises(TypeError, match="codes must be uint16, got uint8"):
        bin_codes(x, *limits, 256, np.empty((2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"codes must have adjacent images, got strides \(1, 2\)"):
        bin_codes(x, *limits, 10, np.empty((3, 2), np.uint8).T)
    with pytest.raises(TypeError, match="columns must be float64, got float32"):
        fill_columns(x, np.empty((2, 3), np.float32))


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(TypeError, match="must be float32 or float64, got int64"):
        feature_ranges(np.zeros((1, 2), np.int64))


VALUES = st.sampled_from([0.0, -0.0, 1.5, -2.0, np.nan, np.inf, -np.inf, 1e30])


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=60)
@given(arrays(np.float64, (9, 2), elements=VALUES), st.permutations(range(9)), st.integers(0, 9))
def test_ranges_are_those_of_the_finite_values_and_merge(
    dtype: type, values: Array, order: list[int], cut: int
) -> None:
    values = values.astype(dtype)
    whole = feature_ranges(values)
    for unit, row in enumerate(values.T):
        finite = row[np.isfinite(row)]
        assert (whole.n[unit], whole.n_nonfinite[unit]) == (finite.size, 9 - finite.size)
        limits = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
        np.testing.assert_array_equal((whole.lo[unit], whole.hi[unit]), limits)
    a, b = (feature_ranges(v) for v in np.split(values[order], [cut]))
    assert bits(a.merge(b)) == bits(b.merge(a)) == bits(whole)
    c = feature_ranges(-values)
    assert bits(a.merge(b).merge(c)) == bits(a.merge(b.merge(c)))
    assert bits(Ranges.zero(2).merge(a)) == bits(a.merge(Ranges.zero(2))) == bits(a)

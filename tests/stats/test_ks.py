from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from kdsspark.stats.bins import bin_codes, feature_ranges
from kdsspark.stats.histograms import class_histograms
from kdsspark.stats.ks import binned_ks, exact_ks

Floats = np.ndarray[Any, Any]


def reference(inner: list[float], outer: list[float]) -> tuple[float, float]:
    """(signed distance, place of the largest gap) from the definition, in Python's integers."""
    if not inner or not outer:
        return math.nan, math.nan
    best, place = 0, math.nan
    for x in sorted({*inner, *outer}):
        p = sum(v <= x for v in inner)
        q = sum(v <= x for v in outer)
        gap = q * len(inner) - p * len(outer)
        if abs(gap) > abs(best):
            best, place = gap, x
    return best / (len(inner) * len(outer)), place


def split(row: Floats, labels: Floats, label: int) -> tuple[list[float], list[float]]:
    finite = np.isfinite(row)
    inner, outer = row[finite & (labels == label)], row[finite & (labels != label)]
    return inner.tolist(), outer.tolist()


def test_the_sign_is_positive_where_the_class_is_higher_and_scipys_is_not() -> None:
    values = np.array([[5.0, 6.0, 1.0, 2.0]])
    labels = np.array([[0, 0, 1, 1]], np.int32)
    assert exact_ks(values, labels, 2).tolist() == [[[1.0, -1.0]]]
    counts = np.array([[[0, 2], [2, 0]]], np.int32)
    assert binned_ks(counts).ks.tolist() == [[1.0, -1.0]]
    assert stats.ks_2samp([5.0, 6.0], [1.0, 2.0]).statistic_sign == -1


def test_of_equal_gaps_of_opposite_sign_the_first_wins() -> None:
    # Inner 1, 4 against outer 2, 3: after 1 the gap is -1/2, after 3 it is +1/2.
    values = np.array([[1.0, 2.0, 3.0, 4.0]])
    labels = np.array([[0, 1, 1, 0]], np.int32)
    assert exact_ks(values, labels, 2).tolist() == [[[-0.5, 0.5]]]
    result = binned_ks(np.array([[[1, 0, 0, 1], [0, 1, 1, 0]]], np.int32))
    assert result.ks.tolist() == [[-0.5, 0.5]]
    assert result.bin.tolist() == [[0, 0]]


def test_equal_gaps_that_rounding_would_tell_apart_are_equal() -> None:
    # 1/3 - 0 and 1 - 2/3 are the same gap; as doubles the second is larger.
    assert 1 - 2 / 3 > 1 / 3 - 0
    inner, outer = [0, 0, 2, 0, 1], [1, 0, 0, 2, 0]
    result = binned_ks(np.array([[inner, outer]], np.int32))
    assert result.bin.tolist() == [[0, 0]]
    assert result.ks[0, 0] == 1 / 3


def test_products_of_large_counts_are_exact() -> None:
    # After bin 0 there are 1 of the class and all others, after bin 1 all of both.
    n, outer = 40_000_001, 49_999_999
    result = binned_ks(np.array([[[1, n - 1, 0], [outer, 0, 0]]], np.int32))
    gap = outer * n - 1 * outer
    assert gap < 2**53
    assert result.ks.tolist() == [[gap / (n * outer), -gap / (n * outer)]]
    assert result.bin.tolist() == [[0, 0]]


@settings(max_examples=150)
@given(arrays(np.int32, (2, 3, 5), elements=st.integers(0, 3)))
def test_binned_distances_are_those_of_the_definition(counts: Floats) -> None:
    result = binned_ks(counts)
    for unit in range(2):
        for label in range(3):
            inner = np.repeat(np.arange(5), counts[unit, label]).tolist()
            others = counts[unit].sum(axis=0) - counts[unit, label]
            outer = np.repeat(np.arange(5), others).tolist()
            ks, place = reference(inner, outer)
            np.testing.assert_array_equal(result.ks[unit, label], ks)
            assert result.bin[unit, label] == (-1 if math.isnan(place) else place)
            sizes = (result.n_inner[unit, label], result.n_outer[unit, label])
            assert sizes == (len(inner), len(outer))


AWKWARD = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, 1e-45, -1e-45, 3e38, math.nan, math.inf])
SMOOTH = st.floats(-10, 10, width=32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("elements", [AWKWARD, SMOOTH, AWKWARD | SMOOTH | st.just(-math.inf)])
@settings(max_examples=100)
@given(st.data(), st.integers(1, 14))
def test_exact_distances_are_those_of_the_definition(
    dtype: type, elements: st.SearchStrategy[float], data: st.DataObject, images: int
) -> None:
    values = data.draw(arrays(np.float64, (2, images), elements=elements)).astype(dtype)
    labels = data.draw(arrays(np.int32, (2, images), elements=st.integers(0, 2)))
    result = exact_ks(values, labels, 4)
    assert result.shape == (2, 2, 4)
    for labeling, unit, label in np.ndindex(2, 2, 4):
        expected = reference(*split(values[unit], labels[labeling], label))[0]
        np.testing.assert_array_equal(result[labeling, unit, label], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["normal", "relu", "scaled"])
def test_exact_distances_are_those_of_scipy(kind: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 3000))
    x = {"normal": x, "relu": np.maximum(x, 0), "scaled": x * 10.0 ** rng.integers(-30, 30, 3000)}[
        kind
    ]
    values = x.astype(dtype)
    labels = rng.integers(0, 20, (2, 3000)).astype(np.int32)
    values[:, labels[0] == 3] += dtype(0.7)
    result = exact_ks(values, labels, 20)
    for labeling, unit, label in np.ndindex(2, 3, 20):
        inner, outer = split(values[unit], labels[labeling], label)
        expected = stats.ks_2samp(inner, outer, method="asymp")
        ks = result[labeling, unit, label]
        assert abs(ks) == pytest.approx(expected.statistic, abs=1e-12)
        up = stats.ks_2samp(inner, outer, "greater", method="asymp").statistic
        down = stats.ks_2samp(inner, outer, "less", method="asymp").statistic
        if abs(up - down) > 1e-9:
            assert np.sign(ks) == -expected.statistic_sign == np.sign(down - up)


def test_bins_see_what_is_there_when_every_value_has_its_own() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 101, (4, 600)).astype(np.float32)
    values[:, :2] = [0, 100]
    labels = rng.integers(0, 7, 600).astype(np.int32)
    ranges = feature_ranges(values.T)
    codes = np.empty(values.shape, np.uint8)
    bin_codes(values.T, ranges.lo, ranges.hi, 101, codes)
    assert (codes == values).all()
    binned = binned_ks(class_histograms(codes, labels, 7, 101)).ks
    assert binned.tolist() == exact_ks(values, labels[None], 7)[0].tolist()


def test_empty_and_constant_inputs() -> None:
    assert np.isnan(exact_ks(np.empty((1, 0)), np.empty((1, 0), np.int32), 2)).all()
    assert np.isnan(exact_ks(np.zeros((1, 3)), np.zeros((1, 3), np.int32), 2)).all()
    constant = exact_ks(np.ones((1, 4), np.float32), np.array([[0, 1, 0, 1]], np.int32), 2)
    assert constant.tolist() == [[[0.0, 0.0]]]
    assert not np.signbit(constant).any()
    result = binned_ks(np.array([[[2, 0], [1, 0], [0, 0]]], np.int32))
    np.testing.assert_array_equal(result.ks, [[0.0, 0.0, np.nan]])
    assert result.bin.tolist() == [[-1, -1, -1]]
    assert result.n_inner.tolist() == [[2, 1, 0]]
    assert result.n_outer.tolist() == [[1, 2, 3]]


def test_the_order_of_images_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(-3, 4, (2, 90)).astype(np.float32)
    labels = rng.integers(0, 5, (1, 90)).astype(np.int32)
    order = rng.permutation(90)
    moved = exact_ks(values[:, order], labels[:, order], 5)
    assert moved.tobytes() == exact_ks(values, labels, 5).tobytes()


def test_classes_beyond_16_bits() -> None:
    values = np.array([[1.0, 2.0, 3.0, 3.0]], np.float32)
    labels = np.array([[70_000, 4464, 70_000, 4464]], np.int32)  # equal in their lower 16 bits
    result = exact_ks(values, labels, 70_001)
    assert result[0, 0, [4464, 70_000]].tolist() == [0.5, -0.5]
    assert np.isnan(result).sum() == 69_999


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_cut_out_of_a_larger_array(dtype: type) -> None:
    wide = np.random.default_rng(3).normal(size=(7, 60)).astype(dtype)
    labels = np.arange(50, dtype=np.int32)[None] % 3
    expected = exact_ks(wide[2:5, 4:54].copy(), labels, 3)
    assert exact_ks(wide[2:5, 4:54], labels, 3).tobytes() == expected.tobytes()


def test_wrong_arguments_are_refused() -> None:
    values = np.zeros((1, 3), np.float32)
    with pytest.raises(ValueError, match=r"labels must be \[labelings, 3\], got shape \(3,\)"):
        exact_ks(values, np.zeros(3, np.int32), 2)
    with pytest.raises(ValueError, match="labels must be from 0 to 1, got 0 to 2"):
        exact_ks(values, np.array([[0, 1, 2]], np.int32), 2)
    with pytest.raises(TypeError, match="float32 or float64, got float16"):
        exact_ks(values.astype(np.float16), np.zeros((1, 3), np.int32), 2)
    with pytest.raises(ValueError, match=r"must be \[units, classes, bins\], got shape \(2, 2\)"):
        binned_ks(np.zeros((2, 2), np.int32))

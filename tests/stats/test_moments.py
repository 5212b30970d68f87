"""Mean and deviation against exact fractions, in any order and any parts."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdsspark.stats.bins import feature_ranges
from kdsspark.stats.moments import Moments, moments


def _exact(x: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of the finite values, rounded once (the root, twice)."""
    values = [Fraction(v) for v in x[np.isfinite(x)].tolist()]
    mean = sum(values, Fraction()) / len(values)
    return float(mean), math.sqrt(float(sum((v - mean) ** 2 for v in values) / len(values)))


def _lowest(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.nan_to_num(feature_ranges(values).lo)


def _awkward(n: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(4)
    columns = [
        rng.normal(size=n),
        rng.lognormal(0, 4, n),
        np.where(rng.random(n) < 0.85, 0, rng.exponential(size=n)),
        1e9 + rng.normal(size=n),  # a plain sum of squares loses every digit here
        1e-6 * rng.normal(size=n) - 1,
        np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        np.where(rng.random(n) < 0.2, -np.inf, rng.normal(size=n)),
        rng.normal(size=n) * 10.0 ** rng.integers(-12, 12, n),
    ]
    return np.stack(columns, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_and_std_are_the_exact_ones(dtype: type) -> None:
    values = _awkward(997).astype(dtype)
    result = moments(values, _lowest(values))
    mean, std = result.mean_and_std()
    expected = [_exact(column.astype(np.float64)) for column in values.T]
    np.testing.assert_allclose(mean, [m for m, _ in expected], rtol=1e-15)
    np.testing.assert_allclose(std, [s for _, s in expected], rtol=1e-14)
    assert result.n.tolist() == np.isfinite(values).sum(0).tolist()
    assert result.n.min() < len(values)


@settings(max_examples=30)
@given(st.integers(0, 1 << 32), st.lists(st.integers(0, 300), max_size=6))
def test_order_and_parts_do_not_matter(seed: int, cuts: list[int]) -> None:
    values = _awkward(300)
    origin = _lowest(values)
    shuffled = np.random.default_rng(seed).permutation(values)
    parts = np.split(shuffled, sorted(cuts))
    merged = reduce(Moments.merge, [moments(part, origin) for part in parts])
    whole = moments(values, origin)
    for result, expected in zip(merged.mean_and_std(), whole.mean_and_std(), strict=True):
        assert result.tolist() == expected.tolist()
    assert merged.n.tolist() == whole.n.tolist()


@pytest.mark.parametrize("value", [0.0, 3.5, 0.1, -1e-30, 1e9 + 0.1])
def test_a_constant_feature_has_no_deviation(value: float) -> None:
    values, origin = np.full((1001, 1), value), np.array([value])
    parts = [moments(part, origin) for part in np.array_split(values, 7)]
    mean, std = reduce(Moments.merge, parts).mean_and_std()
    assert mean.tolist() == [value]
    assert std.tolist() == [0.0]


def test_rounded_squares_do_not_make_a_variance_negative() -> None:
    # About half of the squares are rounded down, and then below the exact square of the mean.
    values = np.tile(1 + np.arange(1, 40) / 7, (9, 1))
    mean, std = moments(values, np.zeros(39)).mean_and_std()
    assert mean.tolist() == values[0].tolist()
    assert (std == 0).any()
    np.testing.assert_allclose(std, 0, atol=1e-7)


def test_without_finite_values_and_beyond_all_bounds() -> None:
    values = np.array([[np.nan, 1e300, 2.0], [np.inf, -1e300, 2.0]])
    mean, std = moments(values, np.zeros(3)).mean_and_std()
    np.testing.assert_array_equal(mean, [np.nan, np.nan, 2])
    np.testing.assert_array_equal(std, [np.nan, np.nan, 0])
    nothing = moments(values[:0], np.zeros(3))
    assert nothing.n.tolist() == [0, 0, 0]
    assert np.isnan(nothing.mean_and_std()).all()


def test_moments_about_different_origins_are_not_merged() -> None:
    values = np.ones((2, 1))
    with pytest.raises(ValueError, match="expected moments about one origin, got two"):
        moments(values, np.zeros(1)).merge(moments(values, np.ones(1)))
    with pytest.raises(ValueError, match="origin must be"):
        moments(values, np.zeros(2))

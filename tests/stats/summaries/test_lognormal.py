from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from kdsspark.stats.summaries.lognormal import CENTRAL_68, LogNormal, fit


def sample(n: int = 4000) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(0).lognormal(-2.5, 0.6, n)


def test_the_fit_is_scipys_of_maximum_likelihood() -> None:
    values = sample()
    shape, _, scale = stats.lognorm.fit(values, floc=0)
    fitted = stats.lognorm(shape, scale=scale)
    result = fit(values)
    assert result.n == 4000
    assert result.low == pytest.approx(fitted.ppf(0.16), rel=1e-4)
    assert result.high == pytest.approx(fitted.ppf(0.84), rel=1e-4)
    peak = optimize.minimize_scalar(lambda x: -fitted.logpdf(x), bounds=(1e-4, 1), method="bounded")
    assert result.mode == pytest.approx(peak.x, rel=1e-3)
    assert [result.q16, result.q50, result.q84] == np.quantile(values, [0.16, 0.5, 0.84]).tolist()


def test_the_central_share_is_68_percent() -> None:
    norm = stats.norm()
    assert norm.cdf(CENTRAL_68) - norm.cdf(-CENTRAL_68) == pytest.approx(0.68, rel=1e-14)


@given(st.permutations(range(200)))
def test_the_order_of_values_does_not_matter(order: list[int]) -> None:
    values = sample(200)
    assert fit(values[order]) == fit(values.reshape(20, 10)) == fit(values)


def test_one_value_is_its_own_mode_and_none_has_no_fit() -> None:
    one = fit(np.array([0.25]))
    assert one.n == 1
    assert [one.mode, one.low, one.high] == pytest.approx([0.25] * 3)
    assert [one.q16, one.q50, one.q84] == [0.25] * 3
    assert fit(np.empty(0)) == LogNormal(0, None, None, None, None, None, None)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_values_that_are_not_positive_and_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="values must be positive and finite, got"):
        fit(np.array([0.5, value]))

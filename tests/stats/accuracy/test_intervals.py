"""Intervals against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, t

from kdsspark.stats.accuracy.intervals import of_folds, wilson


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (21, 21), (3, 7), (150, 216), (0, 50)])
def test_wilson_is_scipys(correct: int, n: int) -> None:
    expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    found = wilson([correct / n], [n])
    assert found.low[0] == pytest.approx(expected.low, abs=1e-12)
    assert found.high[0] == pytest.approx(expected.high, abs=1e-12)


def test_without_a_trial_there_is_none() -> None:
    assert np.isnan(wilson(np.nan, 0).low)


def test_folds_have_students_interval() -> None:
    values = np.array([[0.5, 0.99], [0.6, 1.0], [0.4, 0.9], [0.55, 1.0]])
    found = of_folds(values)
    low, high = t.interval(0.95, 3, values[:, 0].mean(), values[:, 0].std(ddof=1) / 2)
    assert (found.low[0], found.high[0]) == pytest.approx((low, high))
    assert found.high[1] == 1  # no accuracy is higher

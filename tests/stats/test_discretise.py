"""Standardised values and their three steps, written out value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kdsspark.stats.discretise import discretise, standardise


def test_every_value_by_its_definition() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(2, 3, (40, 5)).astype(np.float32)
    mean, std = rng.normal(size=5), rng.random(5) + 0.1
    standardised = standardise(values, mean, std)
    codes = discretise(standardised, -0.25, 0.15)
    assert codes.dtype == np.int8
    for i, row in enumerate(values.tolist()):
        for u, x in enumerate(row):
            z = (x - mean[u]) / std[u]
            assert standardised[i, u] == z
            assert codes[i, u] == (1 if z > 0.15 else -1 if z < -0.25 else 0)
    assert set(codes.ravel().tolist()) == {-1, 0, 1}


def test_a_threshold_itself_is_not_beyond() -> None:
    z = np.array([[0.15, math.nextafter(0.15, 1), -0.25, math.nextafter(-0.25, -1), 0.0]])
    assert discretise(z, -0.25, 0.15).tolist() == [[0, 1, 0, -1, 0]]
    assert discretise(z, 0, 0).tolist() == [[1, 1, -1, -1, 0]]


def test_what_is_not_finite_or_does_not_vary_is_zero() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 3.5, 4.0, 1.0]])
    mean = np.array([0, 0, 0, 3.5, 3.5, np.nan])
    std = np.array([1, 1, 1, 0, 0, np.nan])
    assert standardise(values, mean, std).tolist() == [[0] * 6]
    assert np.isnan(values[0, 0])  # not changed in place


@pytest.mark.parametrize(("minus", "plus"), [(0.1, 0.2), (-0.2, -0.1), (float("nan"), 0.1)])
def test_thresholds_must_enclose_zero(minus: float, plus: float) -> None:
    with pytest.raises(ValueError, match="expected t_minus <= 0 <= t_plus, got"):
        discretise(np.zeros((1, 1)), minus, plus)

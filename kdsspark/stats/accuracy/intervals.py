"""Intervals of 95 % around accuracies."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

_Z: Final = 1.959963984540054  # 97.5 % of a normal distribution lie below


class Interval(NamedTuple):
    """The two ends; arrays of float64, NaN where undefined."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def wilson(share: npt.ArrayLike, n: npt.ArrayLike) -> Interval:
    """Wilson's interval of ``share`` of ``n`` trials; NaN without a trial.

    Its ends lie within 0 and 1, also for a share of 0 or 1 of few trials.
    """
    p, n = np.asarray(share, float), np.asarray(n, float)
    n = np.where(n > 0, n, np.nan)
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Interval(np.maximum(middle - half, 0), np.minimum(middle + half, 1))


def of_folds(values: npt.NDArray[np.float64]) -> Interval:
    """Student's interval of the mean over the first axis, the folds, at least two; within 0 and 1.

    Folds that share training images resemble each other, which makes it a little too narrow.
    """
    n = len(values)
    half = stdtrit(n - 1, 0.975) * values.std(axis=0, ddof=1) / np.sqrt(n)
    mean = values.mean(axis=0)
    return Interval(np.maximum(mean - half, 0), np.minimum(mean + half, 1))

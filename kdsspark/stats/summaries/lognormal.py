"""Log-normal fits to the sizes of distances (paper section 5.1, figure 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

CENTRAL_68 = float(ndtri(0.84))
"""The central 68 % lie within this many standard deviations of the mean: 0.994."""


@dataclass(frozen=True)
class LogNormal:
    """A fit to ``n`` values; the other fields are None if ``n`` is 0.

    ``mode`` is the mode of the fitted distribution, and ``low`` to ``high`` holds its central
    68 %. ``q16``, ``q50`` and ``q84`` are quantiles of the values.
    """

    n: int
    mode: float | None = None
    low: float | None = None
    high: float | None = None
    q16: float | None = None
    q50: float | None = None
    q84: float | None = None


def fit(values: NDArray[np.float64]) -> LogNormal:
    """Fit a log-normal distribution to positive ``values`` (any shape) by maximum likelihood.

    The result does not depend on the order of the values, to the last bit. Raises ValueError for
    a value that is not positive and finite.
    """
    ordered = np.sort(values, axis=None)  # because rounding makes sums depend on the order
    if not ordered.size:
        return LogNormal(0)
    if not (ordered[0] > 0 and np.isfinite(ordered[-1])):
        raise ValueError(f"values must be positive and finite, got {ordered[0]} to {ordered[-1]}")
    logs = np.log(ordered)
    mu, sigma = float(logs.mean()), float(logs.std())
    mode, low, high = np.exp([mu - sigma**2, mu - CENTRAL_68 * sigma, mu + CENTRAL_68 * sigma])
    q16, q50, q84 = np.quantile(ordered, [0.16, 0.50, 0.84])
    return LogNormal(
        ordered.size, float(mode), float(low), float(high), float(q16), float(q50), float(q84)
    )

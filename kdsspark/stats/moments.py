"""Mean and standard deviation of every feature, independent of the order of images.

One pass adds up the differences of the values from an origin near them, and the squares of these
differences. Each addition keeps its rounding error in a second float64 (Knuth's two-sum), so that
the relative error of a sum is about 2^-100. One rounding at the end then gives the same float64,
however the images are divided into parts and the parts merged. The origin is the smallest value
of a feature: a large mean then costs the deviation no digit, and the deviation of a constant
feature is exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import as_values
from kdsspark.stats.compiled import compiled, compiled_helper, memory_of


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the finite values of every unit.

    ``origin`` (float64 [units]) is subtracted from each value, ``n`` (int64 [units]) counts the
    values. ``total`` and ``squares`` (float64 [2, units]) are the sums of the differences and of
    their squares; row 0 is the rounded sum and row 1 its rounding error.
    """

    origin: NDArray[np.float64]
    n: NDArray[np.int64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    def merge(self, other: Moments) -> Moments:
        """The moments over the images of both; raises ValueError if their origins differ."""
        if not np.array_equal(self.origin, other.origin):
            raise ValueError("expected moments about one origin, got two")
        return Moments(
            self.origin,
            self.n + other.n,
            _merge(self.total, other.total),
            _merge(self.squares, other.squares),
        )

    def mean_and_std(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation (of the population, not of a sample), float64 [units].

        Both are NaN for a unit without finite values, or if a sum overflows.
        """
        both = np.array([self._of_unit(unit) for unit in range(self.n.size)]).reshape(-1, 2)
        return both[:, 0].copy(), both[:, 1].copy()

    def _of_unit(self, unit: int) -> tuple[float, float]:
        n, sums = int(self.n[unit]), (self.total[:, unit], self.squares[:, unit])
        if not n or not np.isfinite(sums).all():
            return np.nan, np.nan
        mean, square = (sum(map(Fraction, parts.tolist()), Fraction()) / n for parts in sums)
        variance = max(square - mean * mean, Fraction())
        return float(Fraction(self.origin[unit]) + mean), float(np.sqrt(float(variance)))


def _merge(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", over="ignore"):  # an overflow shows in the sum
        total = first[0] + second[0]
        added = total - first[0]
        error = (first[0] - (total - added)) + (second[0] - added)
        return np.stack([total, error + (first[1] + second[1])])


def moments(values: NDArray[Any], origin: NDArray[np.float64]) -> Moments:
    """The moments over the given images.

    ``values`` is [images, units], float32 or float64; ``origin`` is [units] and finite. Raises
    ValueError for other shapes, TypeError for another dtype.
    """
    values = as_values(values)
    images, units = values.shape
    if origin.shape != (units,):
        raise ValueError(f"origin must be [units] = {(units,)}, got shape {origin.shape}")
    n = np.zeros(units, np.int64)
    total, squares = np.zeros((2, units)), np.zeros((2, units))
    _add_up(*memory_of(values), images, origin, n, total, squares)
    return Moments(origin, n, total, squares)


@compiled
def _add_up(
    values: NDArray[Any],
    stride: int,
    images: int,
    origin: NDArray[np.float64],
    n: NDArray[np.int64],
    total: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None:
    units = n.shape[0]
    for i in range(images):
        row = values[i * stride : i * stride + units]
        for u in range(units):
            finite = np.isfinite(row[u])
            x = np.float64(row[u]) - origin[u] if finite else 0.0
            n[u] += np.int64(finite)
            _add(total, u, x)
            _add(squares, u, x * x)


@compiled_helper
def _add(sums: NDArray[np.float64], u: int, x: float) -> None:
    """Add ``x`` to the sum of unit ``u``, and the rounding error to the row below."""
    before = sums[0, u]
    after = before + x
    added = after - before
    sums[0, u] = after
    sums[1, u] += (before - (after - added)) + (x - added)

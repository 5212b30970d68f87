"""Thresholds beyond which true labels differ from shuffled ones (paper section 7.1, equation 4).

They are table 3 of the paper. The counts behind its figures 6, 8 and 9 are here, too. Everything
counts pairs of a feature and a class, so it adds up over features, except :func:`thresholds`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import bin_codes
from kdsspark.stats.compiled import compiled

GRID = np.arange(1001) / 1000
"""The points at which davg is evaluated: x = 0, 0.001, ... 1."""

SURVIVAL_GRID = np.arange(101) / 100
"""The points at which :func:`survival` is evaluated: x = 0, 0.01, ... 1."""

DISTRIBUTION_BINS = 200
"""The number of bins of :func:`distribution` over [-1, 1]."""


@dataclass(frozen=True, eq=False)
class Tally:
    """The number of pairs of a feature and a class strictly beyond every x of ``GRID``.

    ``plus`` counts ks > x and ``minus`` counts -ks > x, both int64 [1001]. ``n_pairs`` is the
    number of pairs that have a distance. ``reach`` is the largest :func:`.significance.reach` of
    them, 0 if there are none.
    """

    plus: NDArray[np.int64]
    minus: NDArray[np.int64]
    n_pairs: int
    reach: float = 0.0

    @staticmethod
    def zero() -> Tally:
        """The tally of no pairs."""
        return Tally(np.zeros(GRID.size, np.int64), np.zeros(GRID.size, np.int64), 0)

    def merge(self, other: Tally) -> Tally:
        """The tally of the pairs of both."""
        return Tally(
            self.plus + other.plus,
            self.minus + other.minus,
            self.n_pairs + other.n_pairs,
            max(self.reach, other.reach),
        )


@dataclass(frozen=True, eq=False)
class Curve:
    """The two terms of equation 4 for one sign, and their difference, at every x of ``GRID``.

    Each is float64 [1001]: features, averaged over classes. ``davg`` is rounded once.
    """

    n_true: NDArray[np.float64]
    n_shuffled: NDArray[np.float64]
    davg: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Thresholds:
    """One row of the paper's table 3, and the curves behind it.

    ``t_plus`` and ``-t_minus`` are the first points of ``GRID`` where davg is largest. The four
    numbers are None if no pair has a distance, under true or under shuffled labels.
    """

    t_plus: float | None
    davg_plus: float | None
    t_minus: float | None
    davg_minus: float | None
    plus: Curve
    minus: Curve


def tally(ks: NDArray[np.float64]) -> Tally:
    """Count the distances ``ks`` (any shape; NaN if undefined) beyond every x of ``GRID``."""
    plus, minus = _beyond(ks.reshape(-1, 1), GRID)[0]
    return Tally(plus, minus, int(ks.size - np.isnan(ks).sum()))


def thresholds(true: Tally, n_classes: int, shuffled: Tally, n_shuffled_classes: int) -> Thresholds:
    """The thresholds and curves of one dataset.

    ``n_classes`` is the number of classes, ``n_shuffled_classes`` the sum of that number over all
    shuffles. Raises ValueError if one of them is not positive.
    """
    if min(n_classes, n_shuffled_classes) < 1:
        raise ValueError(
            f"numbers of classes must be at least 1, got {n_classes} and {n_shuffled_classes}"
        )
    # Curves are compared as integers, so that the first of equal maxima is found.
    sizes = n_classes, n_shuffled_classes
    plus, x_plus = _curve(true.plus, shuffled.plus, *sizes)
    minus, x_minus = _curve(true.minus, shuffled.minus, *sizes)
    if not (true.n_pairs and shuffled.n_pairs):
        return Thresholds(None, None, None, None, plus, minus)
    return Thresholds(
        t_plus=float(GRID[x_plus]),
        davg_plus=float(plus.davg[x_plus]),
        t_minus=float(0.0 - GRID[x_minus]),  # a difference, because -(0.0) is -0.0
        davg_minus=float(minus.davg[x_minus]),
        plus=plus,
        minus=minus,
    )


def _curve(
    true: NDArray[np.int64], shuffled: NDArray[np.int64], n: int, n_shuffled: int
) -> tuple[Curve, int]:
    scaled = true * n_shuffled - shuffled * n
    curve = Curve(true / n, shuffled / n_shuffled, scaled / (n * n_shuffled))
    return curve, int(scaled.argmax())


def survival(ks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the features beyond x, for every class: int64 [classes, signs, 101] (paper figure 9).

    ``ks`` is [units, classes]; NaN is an undefined distance. Sign 0 counts ks > x and sign 1 counts
    -ks > x, at every x of ``SURVIVAL_GRID``.
    """
    return _beyond(ks, SURVIVAL_GRID)


def distribution(ks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the distances ``ks`` (any shape) in 200 equal bins over [-1, 1]: int64 [200].

    The rule is that of :mod:`kdsspark.stats.bins`; NaN is not counted (paper figures 6 and 8).
    """
    codes = np.empty((1, ks.size), np.uint8)
    bin_codes(ks.reshape(-1, 1), np.array([-1.0]), np.array([1.0]), DISTRIBUTION_BINS, codes)
    counts = np.bincount(codes[0], minlength=DISTRIBUTION_BINS + 1)
    return counts[:DISTRIBUTION_BINS].astype(np.int64)


def _beyond(ks: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the rows of ``ks`` [rows, classes] beyond every x: int64 [classes, signs, grid]."""
    passed = np.zeros((ks.shape[1], 2, grid.size + 1), np.int64)
    _count_passed(np.ascontiguousarray(ks, np.float64), grid, passed)
    # A distance that passes j points of the grid is beyond the points 0 .. j - 1.
    return passed[:, :, :0:-1].cumsum(axis=2)[:, :, ::-1]


@compiled
def _count_passed(
    ks: NDArray[np.float64], grid: NDArray[np.float64], passed: NDArray[np.int64]
) -> None:
    """Add 1 to ``passed[c, sign, j]`` for every distance above exactly j points of the grid."""
    steps = grid.shape[0] - 1
    for r in range(ks.shape[0]):
        for c in range(ks.shape[1]):
            x = abs(ks[r, c])
            if not 0.0 < x <= 1.0:
                continue
            j = min(int(x * steps) + 1, steps)  # at most one off; the comparisons decide
            while j <= steps and grid[j] < x:
                j += 1
            while j > 0 and grid[j - 1] >= x:
                j -= 1
            passed[c, 0 if ks[r, c] > 0 else 1, j] += 1

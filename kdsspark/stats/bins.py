"""The domain of a feature and its bins (paper section 4).

The rule is that of ``numpy.histogram(x.astype(float64), bins, range=(lo, hi))``. With the edges
``e = numpy.linspace(lo, hi, bins + 1)``, a value belongs to bin ``b`` when

    e[b] <= x < e[b + 1]    for b < bins - 1,
    e[b] <= x <= e[b + 1]   for b = bins - 1;

so bins are closed on the left and open on the right, and the last is closed on both sides. What
is not in [lo, hi], NaN and the infinities among it, belongs to no bin.

numpy leaves three kinds of range open or refuses them; here

- ``lo == hi`` puts every value equal to them into bin 0;
- where edges coincide, the range being some few units in the last place wide, numpy's arithmetic
  is followed though numpy refuses: the bin of ``(x - lo) / (hi - lo) * bins``, moved by one
  towards the inequality above. Larger values never get smaller bins;
- where ``hi - lo`` overflows, the rule is applied to ``x / 2`` with ``lo / 2`` and ``hi / 2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.compiled import compiled

Codes = NDArray[np.uint8] | NDArray[np.uint16]

MAX_BINS = 65535
"""The largest number of bins whose codes, with the one for "no bin", fit in 16 bits."""


@dataclass(frozen=True, eq=False)
class Ranges:
    """The finite values of every unit, summed up; each field is an array [units].

    ``lo`` and ``hi`` (float64) are the smallest and largest finite value, NaN where there is
    none; ``n`` and ``n_nonfinite`` (int64) count the finite values and the others.
    """

    lo: NDArray[np.float64]
    hi: NDArray[np.float64]
    n: NDArray[np.int64]
    n_nonfinite: NDArray[np.int64]

    @staticmethod
    def zero(units: int) -> Ranges:
        """The ranges over no image."""
        nothing = np.full(units, np.nan)
        return Ranges(nothing, nothing, np.zeros(units, np.int64), np.zeros(units, np.int64))

    def merge(self, other: Ranges) -> Ranges:
        """The ranges over the images of both; the order and grouping of merges do not matter."""
        return Ranges(
            np.fmin(self.lo, other.lo),
            np.fmax(self.hi, other.hi),
            self.n + other.n,
            self.n_nonfinite + other.n_nonfinite,
        )


def feature_ranges(values: NDArray[Any]) -> Ranges:
    """The range of every feature over some images.

    ``values`` is [units, images], float32 or float64. A zero is written as +0.0, whatever its
    sign. Raises ValueError for another shape, TypeError for another dtype.
    """
    values = as_values(values)
    units = values.shape[0]
    lo, hi, n = np.empty(units), np.empty(units), np.empty(units, np.int64)
    _find_ranges(values, lo, hi, n)
    return Ranges(lo, hi, n, values.shape[1] - n)


def bin_codes(
    values: NDArray[Any], lo: NDArray[np.float64], hi: NDArray[np.float64], bins: int
) -> Codes:
    """The bin of every value, [units, images]; ``bins`` where the value is in no bin.

    ``values`` is [units, images], float32 or float64; ``lo`` and ``hi`` are [units], NaN where a
    unit has no finite value. The codes are uint8, or uint16 above 255 bins. Raises ValueError
    for shapes that do not fit, for ``lo > hi`` or an infinite one, and for ``bins`` not in
    [2, 65535]; TypeError for another dtype of the values.
    """
    values = as_values(values)
    if not 2 <= bins <= MAX_BINS:
        raise ValueError(f"bins must be from 2 to {MAX_BINS}, got {bins}")
    lo, hi = np.asarray(lo, np.float64), np.asarray(hi, np.float64)
    if lo.shape != values.shape[:1] or hi.shape != values.shape[:1]:
        raise ValueError(f"lo and hi must be {values.shape[:1]}, got {lo.shape} and {hi.shape}")
    if np.isinf(lo).any() or np.isinf(hi).any() or (lo > hi).any():
        raise ValueError("lo must be at most hi and both finite or NaN, got other ones")
    codes = np.empty(values.shape, np.uint8 if bins <= 255 else np.uint16)
    _find_codes(values, lo, hi, bins, codes)
    return codes


def as_values(values: NDArray[Any]) -> NDArray[Any]:
    """``values`` as a C-contiguous array [units, images], copied only if it is not one.

    Raises ValueError for another shape, TypeError for a dtype other than float32 and float64.
    """
    if values.ndim != 2:
        raise ValueError(f"values must be [units, images], got shape {values.shape}")
    if values.dtype not in (np.float32, np.float64):
        raise TypeError(f"values must be float32 or float64, got {values.dtype}")
    return np.ascontiguousarray(values)


@compiled
def _find_ranges(
    values: NDArray[Any],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
    n: NDArray[np.int64],
) -> None:
    for u in range(values.shape[0]):
        row = values[u]
        smallest, largest, finite = np.inf, -np.inf, 0
        for i in range(row.shape[0]):
            x = np.float64(row[i])
            if np.isfinite(x):
                smallest = min(smallest, x)
                largest = max(largest, x)
                finite += 1
        # Adding zero turns -0.0 into 0.0, so that the bits do not depend on the order of images.
        lo[u] = smallest + 0.0 if finite else np.nan
        hi[u] = largest + 0.0 if finite else np.nan
        n[u] = finite


@compiled
def _fill_edges(lo: float, hi: float, edges: NDArray[np.float64]) -> None:
    """``numpy.linspace(lo, hi, bins + 1)``, the last edge infinite: no value moves beyond it."""
    bins = edges.shape[0] - 1
    step = (hi - lo) / bins
    for b in range(bins):
        if lo == hi:
            edges[b] = lo if b == 0 else np.inf
        elif step == 0.0:  # a subnormal width, as numpy has it
            edges[b] = b / bins * (hi - lo) + lo
        else:
            edges[b] = b * step + lo
    edges[bins] = np.inf


@compiled
def _find_codes(
    values: NDArray[Any],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
    bins: int,
    codes: Codes,
) -> None:
    edges = np.empty(bins + 1)
    # Two loops over a block that stays in the nearest cache: the divisions of the first are done
    # several at a time, which the look-ups of the second would prevent.
    exact = np.empty(1024)
    guess = np.empty(1024, np.int32)
    for u in range(values.shape[0]):
        row, out = values[u], codes[u]
        scale = 1.0 if np.isfinite(hi[u] - lo[u]) or np.isnan(lo[u]) else 0.5
        a, b = lo[u] * scale, hi[u] * scale
        width = b - a if b > a else 1.0
        _fill_edges(a, b, edges)
        for start in range(0, row.shape[0], 1024):
            size = min(1024, row.shape[0] - start)
            for i in range(size):
                x = np.float64(row[start + i]) * scale
                exact[i] = x
                inside = (a <= x) & (x <= b)
                guess[i] = np.int32((x - a) / width * bins) if inside else np.int32(-1)
            for i in range(size):
                if guess[i] < 0:
                    out[start + i] = bins
                else:
                    k = np.uint32(min(guess[i], bins - 1))
                    down = np.uint32(exact[i] < edges[k])
                    up = np.uint32(exact[i] >= edges[k + np.uint32(1)])
                    out[start + i] = k - down + up

"""Signed Kolmogorov-Smirnov distance of a class from all others (paper section 4, equation 3).

With the cumulative distributions P of the inner class and Q of the outer one, the distance is
``Q(b) - P(b)`` at the place b of the largest ``|Q(b) - P(b)|``, the first of equals. It is
positive where the class has the **higher** values; ``scipy.stats.ks_2samp(inner, outer)`` gives
``statistic_sign`` the other way round:

    inner   outer   ks     scipy.stats
    5, 6    1, 2    +1.0   statistic 1, statistic_sign -1
    1, 2    5, 6    -1.0   statistic 1, statistic_sign +1

Gaps are compared as the integers ``gap = Qcount * n_inner - Pcount * n_outer``, because equal
gaps of opposite sign, rounded, would win by chance. With k values of all classes and p of the
class up to a place, and N of all classes, ``gap = k * n_inner - p * N``. Distances are
``gap / (n_inner * n_outer)``, rounded once; exact up to 9e7 images, where products reach 2**53.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import as_values
from kdsspark.stats.compiled import compiled
from kdsspark.stats.histograms import check_labels


@dataclass(frozen=True, eq=False)
class BinnedKS:
    """Distances over bins; each field is an array [units, classes].

    ``ks`` (float64) is NaN where inner or outer is empty; ``bin`` (int32) is the bin of the
    largest gap, -1 where ``ks`` is 0 or NaN; ``n_inner`` and ``n_outer`` (int64) count values.
    """

    ks: NDArray[np.float64]
    bin: NDArray[np.int32]
    n_inner: NDArray[np.int64]
    n_outer: NDArray[np.int64]


def binned_ks(counts: NDArray[np.int32]) -> BinnedKS:
    """The signed distance of every (unit, class) from ``counts`` [units, classes, bins].

    Raises ValueError for another shape.
    """
    if counts.ndim != 3:
        raise ValueError(f"counts must be [units, classes, bins], got shape {counts.shape}")
    shape = counts.shape[:2]
    result = BinnedKS(
        np.empty(shape),
        np.empty(shape, np.int32),
        np.empty(shape, np.int64),
        np.empty(shape, np.int64),
    )
    _sweep_bins(np.ascontiguousarray(counts), result.ks, result.bin, result.n_inner, result.n_outer)
    return result


def exact_ks(
    values: NDArray[Any], labels: NDArray[np.int32], n_classes: int
) -> NDArray[np.float64]:
    """The signed distance over the raw finite values: float64 [labelings, units, classes].

    ``values`` is [units, images], float32 or float64; ``labels`` is [labelings, images]: every
    labeling uses the one sort of a feature. The gap is taken after each distinct value (-0.0 and
    0.0 are one). NaN where inner or outer is empty. Raises ValueError for shapes that do not fit
    and for labels outside [0, n_classes); TypeError for another dtype of the values.
    """
    values, labels = as_values(values), np.ascontiguousarray(labels, np.int32)
    units, images = values.shape
    if labels.ndim != 2 or labels.shape[1] != images:
        raise ValueError(f"labels must be [labelings, {images}], got shape {labels.shape}")
    check_labels(labels, n_classes)
    ks = np.empty((labels.shape[0], units, n_classes))
    sort = _RadixSort(images) if values.dtype == np.float32 else _sort_float64
    for unit in range(units):
        order, ends = sort(values[unit])
        _sweep_values(order, ends, labels, ks[:, unit])
    return ks


class _RadixSort:
    """Sorts float32 values; holds the scratch space from one feature to the next."""

    def __init__(self, images: int) -> None:
        self._keys = np.empty((2, images), np.uint64)
        self._digits = np.empty((3, 2048), np.uint32)
        self._order = np.empty(images, np.int32)
        self._ends = np.empty(images, np.int32)

    def __call__(self, row: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Images in the order of their finite values, and where each run of equals ends.

        The next call overwrites both.
        """
        n, runs = _radix_sort(
            row.view(np.uint32), self._keys[0], self._keys[1], self._digits, self._order, self._ends
        )
        return self._order[:n], self._ends[:runs]


def _sort_float64(row: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    finite = np.flatnonzero(np.isfinite(row))
    order = finite[np.argsort(row[finite])].astype(np.int32)
    ordered = row[order]
    last = np.append(ordered[1:] != ordered[:-1], [True] * (order.size > 0))
    return order, (np.flatnonzero(last) + 1).astype(np.int32)


@compiled
def _sweep_bins(
    counts: NDArray[np.int32],
    ks: NDArray[np.float64],
    at: NDArray[np.int32],
    n_inner: NDArray[np.int64],
    n_outer: NDArray[np.int64],
) -> None:
    units, classes, bins = counts.shape
    # Counts are held in 32 bits and multiplied to 64: that is done several bins at a time.
    k = np.empty(bins, np.uint32)  # values of all classes up to each bin
    p = np.empty(bins, np.uint32)  # those of one class
    gaps = np.empty(bins, np.int64)
    for u in range(units):
        k[:] = 0
        for c in range(classes):
            for b in range(bins):
                k[b] += np.uint32(counts[u, c, b])
        _accumulate(k, k)
        total = np.int64(k[bins - 1])
        for c in range(classes):
            _accumulate(counts[u, c], p)
            n = np.int64(p[bins - 1])
            outer = total - n
            gap, at[u, c] = _largest_gap(k, p, gaps)
            ks[u, c] = gap / (n * outer) if n > 0 and outer > 0 else np.nan
            n_inner[u, c], n_outer[u, c] = n, outer


@compiled
def _accumulate(counts: NDArray[Any], sums: NDArray[np.uint32]) -> None:
    so_far = np.uint32(0)
    for b in range(counts.shape[0]):
        so_far += np.uint32(counts[b])
        sums[b] = so_far


@compiled
def _largest_gap(
    k: NDArray[np.uint32], p: NDArray[np.uint32], gaps: NDArray[np.int64]
) -> tuple[int, int]:
    """The first of the largest gaps and its bin, or (0, -1); ``gaps`` is scratch space."""
    n, total = np.uint64(p[-1]), np.uint64(k[-1])
    lowest = highest = 0
    for b in range(k.shape[0]):
        gaps[b] = np.int64(np.uint64(k[b]) * n - np.uint64(p[b]) * total)
        lowest = min(lowest, gaps[b])
        highest = max(highest, gaps[b])
    size = max(highest, -lowest)
    if size == 0:
        return 0, -1
    where = 0
    while abs(gaps[where]) != size:
        where += 1
    return gaps[where], where


@compiled
def _radix_sort(
    bits: NDArray[np.uint32],
    keys: NDArray[np.uint64],
    spare: NDArray[np.uint64],
    digits: NDArray[np.uint32],
    order: NDArray[np.int32],
    ends: NDArray[np.int32],
) -> tuple[int, int]:
    """Sort the finite of the float32 values given by ``bits``; fills ``order`` and ``ends``.

    Returns how many of each are meant. Three passes order the keys by 11 bits each.
    """
    n = _fill_keys(bits, keys, digits)
    for turn in range(3):
        place = digits[turn]
        start = np.uint32(0)
        for d in range(2048):
            start, place[d] = start + place[d], start
        shift = np.uint64(32 + 11 * turn)
        for i in range(n):
            digit = (keys[i] >> shift) & np.uint64(2047)
            spare[place[digit]] = keys[i]
            place[digit] += np.uint32(1)
        keys, spare = spare, keys
    runs = 0
    for i in range(n):
        order[i] = np.int32(keys[i] & np.uint64(0xFFFFFFFF))
        if i == n - 1 or (keys[i] ^ keys[i + 1]) >> np.uint64(32):
            ends[runs] = i + 1
            runs += 1
    return n, runs


@compiled
def _fill_keys(
    bits: NDArray[np.uint32], keys: NDArray[np.uint64], digits: NDArray[np.uint32]
) -> int:
    """Keys that ascend with the finite values, above the image's index; counts their digits."""
    sign, infinite, mask = np.uint32(0x80000000), np.uint32(0x7F800000), np.uint32(2047)
    one, eleven = np.uint32(1), np.uint32(11)
    low, middle, high = digits[0], digits[1], digits[2]
    digits[:] = 0
    n = 0
    for i in range(bits.shape[0]):
        k = bits[i]
        if k & infinite == infinite:
            continue
        k = np.uint32(0) if k == sign else k  # -0.0 equals 0.0
        # Positive values: set the sign. Negative ones: flip every bit, so that they descend.
        k ^= sign | np.uint32(np.int32(k) >> 31)
        low[k & mask] += one
        middle[(k >> eleven) & mask] += one
        high[k >> eleven >> eleven] += one
        keys[n] = (np.uint64(k) << np.uint64(32)) | np.uint64(i)
        n += 1
    return n


@compiled
def _sweep_values(
    order: NDArray[np.int32],
    ends: NDArray[np.int32],
    labels: NDArray[np.int32],
    ks: NDArray[np.float64],
) -> None:
    """The distances of one feature, ``ks`` [labelings, classes], in one pass per labeling.

    Between two values of a class its gap ``k * n - p * N`` grows with k, so its size is largest
    just before or just after a value of its own; only there does it compete. Both are taken in
    the order of the values, so the first of equals wins.
    """
    total, classes = order.shape[0], ks.shape[1]
    state = np.empty((classes, 3), np.int64)  # per class: n, p * N, the best gap so far
    seen = np.empty(total, np.uint32)  # labels in the order of the values
    for s in range(labels.shape[0]):
        state[:] = 0
        for i in range(total):
            seen[i] = labels[s, order[i]]
            state[seen[i], 0] += 1
        start = 0
        for end in ends:
            if end - start == 1:  # a value of its own: the loops of `_sweep_run` in one step
                c = seen[start]
                gap = start * state[c, 0] - state[c, 1]
                best = _larger(state[c, 2], gap)
                state[c, 2] = _larger(best, gap + state[c, 0] - total)
                state[c, 1] += total
            else:
                _sweep_run(start, end, seen, total, state)
            start = end
        for c in range(classes):
            n = state[c, 0]
            outer = total - n
            ks[s, c] = state[c, 2] / (n * outer) if n > 0 and outer > 0 else np.nan


@compiled
def _sweep_run(
    start: int, end: int, seen: NDArray[np.uint32], total: int, state: NDArray[np.int64]
) -> None:
    """Pass over the equal values from ``start`` to ``end``: gaps count before and after all."""
    for i in range(start, end):
        c = seen[i]
        state[c, 2] = _larger(state[c, 2], start * state[c, 0] - state[c, 1])
    for i in range(start, end):
        state[seen[i], 1] += total
    for i in range(start, end):
        c = seen[i]
        state[c, 2] = _larger(state[c, 2], end * state[c, 0] - state[c, 1])


@compiled
def _larger(first: int, second: int) -> int:
    """The gap of larger size, the first of equals."""
    return second if abs(second) > abs(first) else first

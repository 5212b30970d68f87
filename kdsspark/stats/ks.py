"""Signed Kolmogorov-Smirnov distance of a class from all others (paper section 4, equation 3).

Let P be the cumulative distribution of the inner class and Q that of the outer one. The distance
is ``Q(b) - P(b)`` at the place b where ``|Q(b) - P(b)|`` is largest; the first of several. It is
positive if the class has the **higher** values. The ``statistic_sign`` of
``scipy.stats.ks_2samp(inner, outer)`` is the opposite:

    inner   outer   ks     scipy.stats
    5, 6    1, 2    +1.0   statistic 1, statistic_sign -1
    1, 2    5, 6    -1.0   statistic 1, statistic_sign +1

Gaps are compared as the integers ``gap = Qcount * n_inner - Pcount * n_outer``. Rounded gaps of
equal size would win by chance. With N values in total, k values of all classes up to a place and p
of the class, ``gap = k * n_inner - p * N``. The distance is ``gap / (n_inner * n_outer)``, rounded
once. It is exact up to 9e7 images, where products reach 2**53.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import as_values
from kdsspark.stats.compiled import compiled, compiled_helper, read_only
from kdsspark.stats.histograms import check_labels, totals_of
from kdsspark.stats.order import Order, Sorter

# The state of a class while values are swept over, by columns: the number of its values, N times
# the number passed so far, its highest gap and its lowest.
SIZE, _PASSED, _HIGHEST, _LOWEST = range(4)
_FAR: Final = 1 << 62  # beyond any gap


@dataclass(frozen=True, eq=False)
class BinnedKS:
    """Distances over bins; each field is an array [units, classes].

    ``ks`` (float64) is NaN if inner or outer is empty. ``bin`` (int32) is the bin of the largest
    gap, -1 if ``ks`` is 0 or NaN. ``n_inner`` and ``n_outer`` (int64) count values.
    """

    ks: NDArray[np.float64]
    bin: NDArray[np.int32]
    n_inner: NDArray[np.int64]
    n_outer: NDArray[np.int64]


def binned_ks(counts: NDArray[np.int32], totals: NDArray[np.int32] | None = None) -> BinnedKS:
    """The signed distance of every (unit, class), from ``counts`` [units, classes, bins].

    ``totals`` [units, bins] counts all images; None: each image is in one class, so the classes
    add up to it. Raises ValueError for other shapes.
    """
    totals = totals_of(counts, totals)
    shape = counts.shape[:2]
    result = BinnedKS(
        np.empty(shape),
        np.empty(shape, np.int32),
        np.empty(shape, np.int64),
        np.empty(shape, np.int64),
    )
    _sweep_bins(read_only(counts), totals, result.ks, result.bin, result.n_inner, result.n_outer)
    return result


def exact_ks(
    values: NDArray[Any], labels: NDArray[np.int32], n_classes: int
) -> NDArray[np.float64]:
    """The signed distance over the raw finite values: float64 [labelings, units, classes].

    ``values`` is [units, images], float32 or float64. ``labels`` is [labelings, images]; a feature
    is sorted once for all labelings. The gap is taken after each distinct value (-0.0 and 0.0 are
    one). NaN if inner or outer is empty. Raises ValueError for shapes that do not fit and for
    labels outside [0, n_classes), TypeError for another dtype of the values.
    """
    values = as_values(values)
    sweep = ExactSweep(labels, n_classes, values.shape)
    sort = Sorter(values.shape[1])
    for unit, row in enumerate(values):
        sweep(unit, sort(row))
    return sweep.ks


class ExactSweep:
    """Compares the classes over the values of one feature after the other, for all labelings.

    ``ks`` (float64 [labelings, units, classes]) holds the distances of :func:`exact_ks`, as far as
    features have been swept. The other fields are of the feature swept last, under the first
    labeling: ``seen`` [images] begins with the labels in the order of the values above the lowest,
    and ``state`` (int64 [classes, 4]) begins with the number of values of each class, and that of
    those above the lowest times the number of all. Raises ValueError like :func:`exact_ks`;
    ``shape`` is [units, images].
    """

    def __init__(self, labels: NDArray[np.int32], n_classes: int, shape: tuple[int, int]) -> None:
        units, images = shape
        if labels.ndim != 2 or labels.shape[1] != images:
            raise ValueError(f"labels must be [labelings, {images}], got shape {labels.shape}")
        check_labels(labels, n_classes)
        self.ks = np.empty((labels.shape[0], units, n_classes))
        # Labels are looked up in random order, which is faster if they take little memory.
        narrow = np.uint16 if n_classes <= 1 << 16 else np.uint32
        self._labels = np.ascontiguousarray(labels, narrow)
        self._sizes = np.zeros((labels.shape[0], n_classes), np.int64)
        for labeling, size in zip(labels, self._sizes, strict=True):
            size[:] = np.bincount(labeling, minlength=n_classes)
        self.seen: NDArray[Any] = np.empty(images, narrow)
        self.state = np.empty((n_classes, 4), np.int64)

    def __call__(self, unit: int, order: Order) -> None:
        """Write the distances of one feature from the order of its values."""
        _sweep_values(
            order.images,
            order.starts,
            order.ends,
            order.n,
            order.left_out,
            self._labels,
            self._sizes,
            self.seen,
            self.state,
            self.ks,
            unit,
        )


@compiled
def _sweep_bins(
    counts: NDArray[np.int32],
    totals: NDArray[np.int32],
    ks: NDArray[np.float64],
    at: NDArray[np.int32],
    n_inner: NDArray[np.int64],
    n_outer: NDArray[np.int64],
) -> None:
    units, classes, bins = counts.shape
    # With 32 bits for counts and 64 for products, the CPU handles several bins at a time.
    k = np.empty(bins, np.uint32)  # values of all classes up to each bin
    p = np.empty(bins, np.uint32)  # those of one class
    gaps = np.empty(bins, np.int64)
    for u in range(units):
        k[:] = 0
        if totals.shape[0]:
            for b in range(bins):
                k[b] = np.uint32(totals[u, b])
        else:
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


@compiled_helper
def _accumulate(counts: NDArray[Any], sums: NDArray[np.uint32]) -> None:
    so_far = np.uint32(0)
    for b in range(counts.shape[0]):
        so_far += np.uint32(counts[b])
        sums[b] = so_far


@compiled_helper
def _largest_gap(
    k: NDArray[np.uint32], p: NDArray[np.uint32], gaps: NDArray[np.int64]
) -> tuple[int, int]:
    """The first of the largest gaps and its bin, (0, -1) if all are 0; ``gaps`` is scratch."""
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
def _sweep_values(
    images: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    total: int,
    left_out: NDArray[np.intp],
    labels: NDArray[Any],
    sizes: NDArray[np.int64],
    seen: NDArray[Any],
    state: NDArray[np.int64],
    ks: NDArray[np.float64],
    unit: int,
) -> None:
    """Write one unit of ``ks`` [labelings, units, classes], in one pass per labeling.

    ``images`` to ``left_out`` are an :class:`.order.Order`. ``sizes`` [labelings, classes] counts
    all images. ``seen`` [images] and ``state`` [classes, 4] are scratch space; what they hold at
    the end is of the first labeling.
    """
    above = images.shape[0]
    for s in range(labels.shape[0] - 1, -1, -1):
        for i in range(above):
            seen[i] = labels[s, images[i]]
        for c in range(state.shape[0]):
            state[c, SIZE] = sizes[s, c]
        for i in left_out:
            state[labels[s, i], SIZE] -= 1
        find_gaps(seen[:above], starts, ends, total, state)
        for c in range(state.shape[0]):
            n = state[c, SIZE]
            outer = total - n
            gap = largest_of_class(c, seen[:above], starts, ends, total, total - above, state)
            ks[s, unit, c] = gap / (n * outer) if n > 0 and outer > 0 else np.nan


@compiled_helper
def find_gaps(
    seen: NDArray[Any],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    total: int,
    state: NDArray[np.int64],
) -> None:
    """Find the highest and the lowest gap of every class over the values above the lowest.

    Between two values of a class, its gap ``k * n - p * N`` grows with k. So the gap is highest
    just before a run that holds values of the class, and lowest just after one. Every value of
    the class in a run is tried: the gap before the run is highest at its first value of the
    class, the gap after it is lowest at its last. The number of values that the class has at the
    lowest value is not known yet, so p does not count them, and all gaps of the class are too
    high by the same amount.
    """
    state[:, _PASSED] = 0
    state[:, _HIGHEST] = -_FAR
    state[:, _LOWEST] = _FAR
    for i in range(seen.shape[0]):
        c = seen[i]
        start, end = np.int64(starts[i]), np.int64(ends[i])
        n, passed = state[c, SIZE], state[c, _PASSED]
        state[c, _HIGHEST] = max(state[c, _HIGHEST], start * n - passed)
        passed += total
        state[c, _LOWEST] = min(state[c, _LOWEST], end * n - passed)
        state[c, _PASSED] = passed


@compiled_helper
def largest_of_class(
    c: int,
    seen: NDArray[Any],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    total: int,
    n_lowest: int,
    state: NDArray[np.int64],
) -> Any:
    """The gap of largest size of one class, the first of several, from its ``state``."""
    n = state[c, SIZE]
    passed = n * total - state[c, _PASSED]  # at the lowest value
    after_lowest = n_lowest * n - passed
    highest = max(0, state[c, _HIGHEST] - passed)
    lowest = min(0, after_lowest, state[c, _LOWEST] - passed)
    if highest != -lowest:
        return highest if highest > -lowest else lowest
    if after_lowest == lowest:
        return lowest
    # Rarely both have the same size. Then a second pass sees which comes first.
    for i in range(seen.shape[0]):
        if seen[i] == c:
            if np.int64(starts[i]) * n - passed == highest:
                return highest
            passed += total
            if np.int64(ends[i]) * n - passed == lowest:
                return lowest
    return 0

"""What else the order of a feature's values says of every class: ranks, means and non-zeros.

The exact distance (:mod:`.ks`) sorts the values of a feature. From the same order follow

- the **area under the ROC curve**: the probability that a value of the class is higher than one
  of the others, where equal values count half. It is ``U / (n_inner * n_outer)``, with the U of
  Mann and Whitney (1947), *Annals of Mathematical Statistics* 18, 50-60. U is a multiple of 1/2
  and at most ``n_inner * n_outer``, so rounding the product to halves gives it back;
- the **p-value of U**, two-sided, by the normal limit with the correction for ties and for
  continuity: ``scipy.stats.mannwhitneyu(inner, outer, method="asymptotic")``;
- the **difference of means**, inner minus outer;
- the **shares of values that are not zero**, inner and outer.

Values are added up in ascending order, so no result depends on the order of the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import as_values
from kdsspark.stats.compiled import compiled, compiled_helper
from kdsspark.stats.ks import ExactSweep
from kdsspark.stats.order import Sorter

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """How the values of each class differ from all others; each field is float64 [units, classes].

    ``auc``, ``nonzero_inner`` and ``nonzero_outer`` are from 0 to 1, ``p_auc`` is a p-value, and
    ``mean_difference`` has the unit of the values. All are NaN if inner or outer is empty.
    """

    auc: Floats
    p_auc: Floats
    mean_difference: Floats
    nonzero_inner: Floats
    nonzero_outer: Floats


def compare_classes(
    values: NDArray[Any], labels: NDArray[np.int32], n_classes: int
) -> tuple[Floats, Comparison]:
    """The distances of :func:`.ks.exact_ks`, and the comparison under the first labeling.

    Takes the arguments of that function, and raises what it raises, and ValueError without a
    labeling. The distances are [labelings, units, classes]. Each feature is sorted once.
    """
    values = as_values(values)
    sweep = ExactSweep(labels, n_classes, values.shape)
    if not len(labels):
        raise ValueError("labels must have at least one labeling, got none")
    sort = Sorter(values.shape[1])
    result = Comparison(*(np.empty((len(values), n_classes)) for _ in range(5)))
    counts, sums = np.empty((2, n_classes), np.int64), np.empty(n_classes)
    for unit, row in enumerate(values):
        order = sort(row)
        sweep(unit, order)
        _compare(
            row,
            order.images,
            order.starts,
            order.ends,
            order.n,
            order.lowest,
            sweep.seen,
            sweep.state,
            counts,
            sums,
            result.auc[unit],
            result.p_auc[unit],
            result.mean_difference[unit],
            result.nonzero_inner[unit],
            result.nonzero_outer[unit],
        )
    to_p_values(result.p_auc)
    return sweep.ks, result


def to_p_values(deviations: Floats) -> None:
    """Replace what kernels write, the standard deviations of U from its mean over sqrt(2)."""
    from scipy import special  # takes a quarter of a second, which drivers do without

    special.erfc(deviations, out=deviations)
    np.minimum(deviations, 1, out=deviations)


@compiled
def _compare(
    row: NDArray[Any],
    images: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    total: int,
    lowest: float,
    seen: NDArray[Any],
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
    sums: Floats,
    auc: Floats,
    deviations: Floats,
    mean_difference: Floats,
    nonzero_inner: Floats,
    nonzero_outer: Floats,
) -> None:
    """Compare the classes by the values of one feature, ``row`` [images].

    ``images`` to ``lowest`` are of its :class:`.order.Order`, ``seen`` and ``state`` of its
    :class:`.ks.ExactSweep`. ``counts`` [2, classes] and ``sums`` [classes] are scratch space. The
    others are results, [classes].
    """
    above = images.shape[0]
    n_lowest = total - above
    places, zeros = counts[0], counts[1]
    add_up(row, images, starts, ends, seen, places, sums)
    count_zeros(row, images, seen, lowest, zeros)
    add_lowest(state, total, n_lowest, lowest, places, sums, zeros)
    all_values, all_zeros = 0.0, 0
    for c in range(sums.shape[0]):
        all_values += sums[c]
        all_zeros += zeros[c]
    fill_classes(
        state,
        total,
        spread_of(starts, ends, total),
        places,
        sums,
        zeros,
        all_values,
        all_zeros,
        auc,
        deviations,
        mean_difference,
        nonzero_inner,
        nonzero_outer,
    )


@compiled_helper
def add_lowest(
    state: NDArray[np.int64],
    total: int,
    n_lowest: int,
    lowest: float,
    places: NDArray[np.int64],
    sums: Floats,
    zeros: NDArray[np.int64],
) -> None:
    """Add to what :func:`add_up` and :func:`count_zeros` have the values equal to the lowest."""
    for c in range(sums.shape[0]):
        at_lowest = state[c, 0] - state[c, 1] // max(total, 1)
        if at_lowest > 0:  # or there may be no lowest value
            places[c] += at_lowest * n_lowest
            sums[c] += at_lowest * lowest
            zeros[c] += at_lowest if lowest == 0 else 0


@compiled_helper
def fill_classes(
    state: NDArray[np.int64],
    total: int,
    spread: float,
    places: NDArray[np.int64],
    sums: Floats,
    zeros: NDArray[np.int64],
    all_values: float,
    all_zeros: int,
    auc: Floats,
    deviations: Floats,
    mean_difference: Floats,
    nonzero_inner: Floats,
    nonzero_outer: Floats,
) -> None:
    """Write the results [classes] of one feature.

    ``places``, ``sums`` and ``zeros`` are of each class, ``all_values`` and ``all_zeros`` the sum
    and the zeros of all finite values.
    """
    for c in range(sums.shape[0]):
        n = state[c, 0]
        m = total - n
        if n == 0 or m == 0:
            auc[c] = deviations[c] = mean_difference[c] = np.nan
            nonzero_inner[c] = nonzero_outer[c] = np.nan
            continue
        twice_u = places[c] - n * n
        auc[c] = twice_u / (2 * n * m)
        deviation = np.sqrt(2 * n * m * spread)
        # The correction for continuity is half a step of U.
        apart = (abs(twice_u - n * m) - 1) / 2
        deviations[c] = apart / deviation if deviation > 0 else 0.0
        mean_difference[c] = sums[c] / n - (all_values - sums[c]) / m + 0.0
        nonzero_inner[c] = (n - zeros[c]) / n
        nonzero_outer[c] = (m - (all_zeros - zeros[c])) / m


@compiled_helper
def add_up(
    row: NDArray[Any],
    images: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    seen: NDArray[Any],
    places: NDArray[np.int64],
    sums: Floats,
) -> None:
    """Add up, for each class, its values above the lowest and where their runs begin and end."""
    places[:] = 0
    sums[:] = 0
    for i in range(images.shape[0]):
        c = seen[i]
        places[c] += np.int64(starts[i]) + np.int64(ends[i])
        sums[c] += row[images[i]]


@compiled_helper
def count_zeros(
    row: NDArray[Any],
    images: NDArray[np.uint32],
    seen: NDArray[Any],
    lowest: float,
    zeros: NDArray[np.int64],
) -> None:
    """Count the zeros of each class among the values above the lowest, where they are one run."""
    zeros[:] = 0
    first, stop = 0, images.shape[0] if lowest < 0 else 0
    while first < stop:
        middle = (first + stop) // 2
        if row[images[middle]] < 0:
            first = middle + 1
        else:
            stop = middle
    while lowest < 0 and first < images.shape[0] and row[images[first]] == 0:
        zeros[seen[first]] += 1
        first += 1


@compiled_helper
def spread_of(starts: NDArray[np.uint32], ends: NDArray[np.uint32], total: int) -> float:
    """The variance of U over ``n_inner * n_outer``: (N + 1) / 12, less where values are equal.

    A run of t values takes ``(t**3 - t) / (N * (N - 1))`` away from N + 1.
    """
    above = starts.shape[0]
    if above == 0:
        return 0.0
    # The cubes of all runs: each of t values adds t squared. In two halves of 32 bits, because
    # integers can be added several at a time, and the sums may need more than 64 bits.
    low = high = np.uint64(0)
    for i in range(above):
        size = np.uint64(ends[i] - starts[i])
        low += (size * size) & np.uint64(0xFFFFFFFF)
        high += (size * size) >> np.uint64(32)
    at_lowest = np.float64(total - above)
    cubes = np.float64(high) * 2.0**32 + np.float64(low) + at_lowest * at_lowest * at_lowest
    n = np.float64(total)
    return (n + 1 - (cubes - n) / (n * (n - 1))) / 12

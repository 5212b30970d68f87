"""Exact distances, ranks, means and non-zeros where an image may have several labels, or none.

The values of a feature are sorted once. Then each value takes a place for every class of its
image, in the order of the values, and these places are swept as those of images of one class are
(:mod:`kdsspark.stats.ks`, :mod:`kdsspark.stats.ranks`). A place keeps where the run of equal
values begins and ends among the images, so a class is compared with all images without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import as_values
from kdsspark.stats.compiled import compiled, compiled_helper
from kdsspark.stats.histograms import check_labels
from kdsspark.stats.ks import SIZE, find_gaps, largest_of_class
from kdsspark.stats.order import Order, Sorter
from kdsspark.stats.ranks import (
    Comparison,
    Floats,
    add_lowest,
    add_up,
    count_zeros,
    fill_classes,
    spread_of,
    to_p_values,
)
from kdsspark.stats.several.label_sets import LabelSets


def exact_ks_of_sets(values: NDArray[Any], labels: NDArray[np.int32], sets: LabelSets) -> Floats:
    """The signed distance over the raw finite values: float64 [labelings, units, classes].

    ``values`` is [units, images], float32 or float64; ``labels`` [labelings, images] are sets. As
    :func:`kdsspark.stats.ks.exact_ks`, which says what raises, for each class against all images
    without it.
    """
    values = as_values(values)
    sweep = SetSweep(labels, sets, values.shape)
    sort = Sorter(values.shape[1])
    for unit, row in enumerate(values):
        sweep(unit, sort(row))
    return sweep.ks


def compare_sets(
    values: NDArray[Any], labels: NDArray[np.int32], sets: LabelSets
) -> tuple[Floats, Comparison]:
    """The distances of :func:`exact_ks_of_sets`, and the comparison under the first labeling.

    As :func:`kdsspark.stats.ranks.compare_classes`, for each class against all images without it.
    """
    values = as_values(values)
    sweep = SetSweep(labels, sets, values.shape)
    if not len(labels):
        raise ValueError("labels must have at least one labeling, got none")
    sort = Sorter(values.shape[1])
    result = Comparison(*(np.empty((len(values), sets.n_classes)) for _ in range(5)))
    counts, sums = np.empty((2, sets.n_classes), np.int64), np.empty(sets.n_classes)
    for unit, row in enumerate(values):
        order = sort(row)
        n = sweep(unit, order)
        _compare(
            row,
            order.images,
            order.starts,
            order.ends,
            order.n,
            order.lowest,
            sweep.seen[:n],
            sweep.images[:n],
            sweep.runs[0, :n],
            sweep.runs[1, :n],
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


class SetSweep:
    """Compares the classes over the values of one feature after the other, for all labelings.

    As :class:`kdsspark.stats.ks.ExactSweep`, where labels are sets. A call returns the number of
    places that the classes have among the values above the lowest, under the first labeling. Of
    each of these, ``seen`` has the class, ``images`` the image and ``runs`` [2, places] where its
    run of equal values begins and ends.
    """

    def __init__(self, labels: NDArray[np.int32], sets: LabelSets, shape: tuple[int, int]) -> None:
        units, images = shape
        if labels.ndim != 2 or labels.shape[1] != images:
            raise ValueError(f"labels must be [labelings, {images}], got shape {labels.shape}")
        check_labels(labels, sets.n_sets)
        self.ks = np.empty((len(labels), units, sets.n_classes))
        self._sets = sets
        self._labels = np.ascontiguousarray(labels, np.uint32)
        self._sizes = np.zeros((len(labels), sets.n_classes), np.int64)
        for labeling, size in zip(labels, self._sizes, strict=True):
            size[:] = sets.sizes(labeling)
        places = int(self._sizes.sum(1).max(initial=0))
        self.seen = np.empty(places, np.uint32)
        self.images = np.empty(places, np.uint32)
        self.runs = np.empty((2, places), np.uint32)
        self.state = np.empty((sets.n_classes, 4), np.int64)

    def __call__(self, unit: int, order: Order) -> int:
        """Write the distances of one feature from the order of its values."""
        return _sweep(
            order.images,
            order.starts,
            order.ends,
            order.n,
            order.left_out,
            self._labels,
            self._sizes,
            self._sets.starts,
            self._sets.classes,
            self.seen,
            self.images,
            self.runs,
            self.state,
            self.ks,
            unit,
        )


@compiled
def _sweep(
    images: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    total: int,
    left_out: NDArray[np.intp],
    labels: NDArray[np.uint32],
    sizes: NDArray[np.int64],
    set_starts: NDArray[np.int64],
    set_classes: NDArray[np.int32],
    seen: NDArray[np.uint32],
    seen_images: NDArray[np.uint32],
    runs: NDArray[np.uint32],
    state: NDArray[np.int64],
    ks: NDArray[np.float64],
    unit: int,
) -> int:
    """Write one unit of ``ks`` [labelings, units, classes]; returns the places.

    ``seen`` to ``runs`` have room for all places; they and ``state`` end with the first labeling.
    """
    above, n = images.shape[0], 0
    for s in range(labels.shape[0] - 1, -1, -1):
        n = _take_places(
            images, starts, ends, labels[s], set_starts, set_classes, seen, seen_images, runs
        )
        for c in range(state.shape[0]):
            state[c, SIZE] = sizes[s, c]
        for i in left_out:
            label = labels[s, i]
            for j in range(set_starts[label], set_starts[label + 1]):
                state[set_classes[j], SIZE] -= 1
        first, last = runs[0, :n], runs[1, :n]
        find_gaps(seen[:n], first, last, total, state)
        for c in range(state.shape[0]):
            inner = state[c, SIZE]
            outer = total - inner
            gap = largest_of_class(c, seen[:n], first, last, total, total - above, state)
            ks[s, unit, c] = gap / (inner * outer) if inner > 0 and outer > 0 else np.nan
    return n


@compiled_helper
def _take_places(
    images: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    labels: NDArray[np.uint32],
    set_starts: NDArray[np.int64],
    set_classes: NDArray[np.int32],
    seen: NDArray[np.uint32],
    seen_images: NDArray[np.uint32],
    runs: NDArray[np.uint32],
) -> int:
    """Give each value a place for every class of its image, in order; returns the places.

    ``labels`` [images] are sets, under one labeling.
    """
    n = 0
    for i in range(images.shape[0]):
        label = labels[images[i]]
        for j in range(set_starts[label], set_starts[label + 1]):
            seen[n], seen_images[n] = np.uint32(set_classes[j]), images[i]
            runs[0, n], runs[1, n] = starts[i], ends[i]
            n += 1
    return n


@compiled
def _compare(
    row: NDArray[Any],
    images: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
    total: int,
    lowest: float,
    seen: NDArray[np.uint32],
    seen_images: NDArray[np.uint32],
    run_starts: NDArray[np.uint32],
    run_ends: NDArray[np.uint32],
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

    ``images`` to ``lowest`` are of its :class:`~kdsspark.stats.order.Order`, ``seen`` to ``state``
    of its :class:`SetSweep`. ``counts`` [2, classes] and ``sums`` [classes] are scratch space. The
    others are results, [classes].
    """
    n_lowest = total - images.shape[0]
    places, zeros = counts[0], counts[1]
    add_up(row, seen_images, run_starts, run_ends, seen, places, sums)
    count_zeros(row, seen_images, seen, lowest, zeros)
    add_lowest(state, total, n_lowest, lowest, places, sums, zeros)
    all_values, all_zeros = 0.0, 0
    if n_lowest > 0:  # or there may be no lowest value
        all_values += n_lowest * lowest
        all_zeros += n_lowest if lowest == 0 else 0
    for i in range(images.shape[0]):
        all_values += row[images[i]]
        all_zeros += row[images[i]] == 0
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

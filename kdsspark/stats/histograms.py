"""Inner-class histograms: how the values of each class fall into the bins (paper section 4).

Counts add up over images. The outer histogram of a class is the sum over all classes minus its
own, so it is never counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import Codes
from kdsspark.stats.compiled import compiled, read_only


def class_histograms(
    codes: Codes, labels: NDArray[np.int32], n_classes: int, bins: int
) -> NDArray[np.int32]:
    """Count the images of every (unit, class) per bin: int32 [units, classes, bins].

    ``codes`` is [units, images] from :func:`kdsspark.stats.bins.bin_codes`; it may be cut out of
    a larger array. The code ``bins`` (no bin) is not counted. ``labels`` is [images], from 0 to
    ``n_classes - 1``. Raises ValueError for other labels and for shapes that do not fit.
    """
    if codes.ndim != 2:
        raise ValueError(f"codes must be [units, images], got shape {codes.shape}")
    if labels.shape != codes.shape[1:]:
        raise ValueError(f"labels must be {codes.shape[1:]}, got {labels.shape}")
    check_labels(labels, n_classes)
    counts = np.zeros((codes.shape[0], n_classes, bins), np.int32)
    # In the narrowest type that holds it, because it is read again for every unit.
    first_cell = labels.astype(np.uint32 if n_classes * bins <= 1 << 32 else np.uint64) * bins
    _count(codes, first_cell, bins, counts.reshape(codes.shape[0], -1))
    return counts


def totals_of(counts: NDArray[np.int32], totals: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """``totals`` [units, bins] as compiled loops take them: no row where classes add up to them.

    Raises ValueError for another shape, and unless ``counts`` is [units, classes, bins].
    """
    if counts.ndim != 3:
        raise ValueError(f"counts must be [units, classes, bins], got shape {counts.shape}")
    units, _, bins = counts.shape
    if totals is None:
        return read_only(np.empty((0, bins), np.int32))
    if totals.shape != (units, bins):
        raise ValueError(f"totals must be {(units, bins)}, got shape {totals.shape}")
    return read_only(totals)


def check_labels(labels: NDArray[Any], n_classes: int) -> None:
    """Raise ValueError unless every label is from 0 to ``n_classes - 1``.

    Compiled loops use labels as indices without a check, so each of them needs this one first.
    """
    if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(
            f"labels must be from 0 to {n_classes - 1}, got {labels.min()} to {labels.max()}"
        )


@compiled
def _count(codes: Codes, first_cell: NDArray[Any], bins: int, counts: NDArray[np.int32]) -> None:
    for u in range(codes.shape[0]):
        row, cells = codes[u], counts[u]
        for i in range(row.shape[0]):
            if row[i] < bins:
                cells[np.uint64(first_cell[i]) + np.uint64(row[i])] += 1

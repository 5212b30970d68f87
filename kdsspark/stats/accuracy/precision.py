"""Precision and recall of single features as detectors of a class, exact, not binned.

A feature detects a class by its values: the images from the highest value down to some threshold
are called the class. Images of equal value are called together. Values that are not finite are
below all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def average_precisions(
    values: npt.NDArray[Any], labels: npt.NDArray[np.int32], n_classes: int
) -> npt.NDArray[np.float64]:
    """The average precision of every feature for every class: float64 [features, classes].

    ``values`` is [images, features], ``labels`` [images]. It is the mean, over the images of the
    class, of the precision at the threshold that just includes the image, which is what
    scikit-learn sums by thresholds. NaN for a class without images. One sort per feature gives all
    classes.
    """
    sizes = np.bincount(labels, minlength=n_classes)
    found = np.full((values.shape[1], n_classes), np.nan)
    for feature, column in enumerate(_finite(values).T):
        precision = _at_or_above(column, labels) / _at_or_above(column, np.zeros_like(labels))
        total = np.bincount(labels, precision, n_classes)
        found[feature, sizes > 0] = total[sizes > 0] / sizes[sizes > 0]
    return found


def _at_or_above(
    column: npt.NDArray[np.float64], groups: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """For each image, the number of images of its group with the same value or a higher one."""
    n = len(column)
    order = np.lexsort((-column, groups))
    ordered, group = column[order], groups[order]
    last = np.ones(n, np.bool_)  # of those alike in group and value
    last[:-1] = (ordered[1:] != ordered[:-1]) | (group[1:] != group[:-1])
    ends = np.flatnonzero(last)
    end = ends[np.searchsorted(ends, np.arange(n))]
    sizes = np.bincount(groups)
    count = np.empty(n, np.int64)
    count[order] = end + 1 - (sizes.cumsum() - sizes)[group]
    return count


def precision_at(
    values: npt.NDArray[Any], positive: npt.NDArray[np.bool_], recalls: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The precision of one feature at some recalls: float64 [recalls].

    ``values`` and ``positive`` are [images]. Between thresholds it is the highest precision at that
    recall or a higher one, as for PASCAL VOC. NaN where no image is positive.
    """
    column = _finite(values)
    order = np.argsort(-column, kind="stable")
    hits = positive[order].cumsum()
    ordered = column[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # of those alike in value
    precision = (hits / np.arange(1, len(hits) + 1))[last]
    if not hits[-1]:
        return np.full(len(recalls), np.nan)
    reached = (hits / hits[-1])[last]
    best = np.maximum.accumulate(precision[::-1])[::-1]
    found: npt.NDArray[np.float64] = best[np.searchsorted(reached, recalls - 1e-12)]
    return found


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.where(np.isfinite(values), values, -np.inf).astype(np.float64)

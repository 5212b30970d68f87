"""How early images of a query's own class come when the others are ordered by their distance."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kdsspark.stats.accuracy.precision import average_precisions

_PRODUCTS_AT_ONCE: Final = 1 << 22  # of two windows: 32 MB
_DIGITS: Final = 9  # of unit vectors: equal ones differ in the last bits, by where they stand


def retrieval_precisions(
    vectors: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int32],
    queries: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """The average precision of each query: float64 [queries].

    ``vectors`` is [images, windows, features], each vector of length 1 or 0; ``labels`` is
    [images]; ``queries`` has the places of the images that are queries. All other images are
    ordered by their distance from the query, the nearest first; those of its class are relevant.
    The distance of two images is the smallest Euclidean one between a window of the one and a
    window of the other (Azizpour et al. 2014, section 5). Images at one distance are retrieved
    together. NaN for a query without another image of its class.
    """
    n_images, n_windows, _ = vectors.shape
    at_once = max(1, _PRODUCTS_AT_ONCE // (n_images * n_windows**2))
    found = np.full(len(queries), np.nan)
    for start in range(0, len(queries), at_once):
        some = queries[start : start + at_once]
        nearness = _nearness(vectors[some], vectors)
        for i, query in enumerate(some):
            others = np.delete(nearness[i], query)
            relevant = (np.delete(labels, query) == labels[query]).astype(np.int32)
            found[start + i] = average_precisions(others[:, None], relevant, 2)[0, 1]
    return found


def _nearness(
    some: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Minus the smallest squared distance between windows: float64 [some, others]."""
    (n, n_windows, width), n_others = some.shape, len(others)
    flat = some.reshape(n * n_windows, width)
    flat_others = others.reshape(n_others * n_windows, width)
    squares = 2 * flat @ flat_others.T
    squares -= np.einsum("ij,ij->i", flat, flat)[:, None]
    squares -= np.einsum("ij,ij->i", flat_others, flat_others)
    of_windows = squares.reshape(n, n_windows, n_others, n_windows)
    nearest: npt.NDArray[np.float64] = np.round(of_windows.max(axis=(1, 3)), _DIGITS)
    return nearest


def chance_precisions(
    labels: npt.NDArray[np.int32], queries: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The share of the other images that are relevant, of each query: float64 [queries].

    It is the average precision where all images are equally far.
    """
    relevant: npt.NDArray[np.int64] = np.bincount(labels)[labels[queries]] - 1
    return relevant / max(1, len(labels) - 1)

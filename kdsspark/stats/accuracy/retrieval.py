"""How early images of a query's own class come when the others are ordered by their distance."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kdsspark.stats.accuracy.precision import average_precisions

_QUERIES_AT_ONCE: Final = 64
_DIGITS: Final = 9  # of unit vectors: equal ones differ in the last bits, by where they stand


def retrieval_precisions(
    vectors: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int32],
    queries: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """The average precision of each query: float64 [queries].

    ``vectors`` is [images, features], each of length 1 or 0; ``labels`` is [images]; ``queries``
    has the places of the images that are queries. All other images are ordered by their Euclidean
    distance from the query, the nearest first; those of its class are relevant. Images at one
    distance are retrieved together. NaN for a query without another image of its class.
    """
    lengths = (vectors**2).sum(axis=1)
    found = np.full(len(queries), np.nan)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        some = queries[start : start + _QUERIES_AT_ONCE]
        # The squared distance is this with the other sign, and the query's own length added.
        nearness = np.round(2 * vectors[some] @ vectors.T - lengths, _DIGITS)
        for i, query in enumerate(some):
            others = np.delete(nearness[i], query)
            relevant = (np.delete(labels, query) == labels[query]).astype(np.int32)
            found[start + i] = average_precisions(others[:, None], relevant, 2)[0, 1]
    return found


def chance_precisions(
    labels: npt.NDArray[np.int32], queries: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The share of the other images that are relevant, of each query: float64 [queries].

    It is the average precision where all images are equally far.
    """
    relevant: npt.NDArray[np.int64] = np.bincount(labels)[labels[queries]] - 1
    return relevant / max(1, len(labels) - 1)

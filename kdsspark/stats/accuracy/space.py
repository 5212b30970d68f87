"""Whole maps as vectors for a classifier: without magnitudes, without places, in few numbers.

Agrawal, Girshick & Malik 2014, section 5.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.shuffles import shuffled_labels

_PLACES: Final = 1 << 33  # no shuffle of the baseline, and no order of images, has this number
_FEATURES_AT_ONCE: Final = 4096


def binarised(values: NDArray[Any]) -> NDArray[np.float32]:
    """1 where a value is above 0, else 0; the same shape."""
    return (values > 0).astype(np.float32)


def shuffled_places(
    maps: NDArray[Any], image_keys: NDArray[np.uint64], seed: int
) -> NDArray[np.float32]:
    """The places of each image's maps in a random order, the same for all units of the image.

    ``maps`` is [images, units, places]; ``image_keys`` is uint64 [images, 2], the two halves of
    each image id. The order of an image depends only on ``seed`` and its id.
    """
    shuffled = np.empty(maps.shape, np.float32)
    for image, (high, low) in enumerate(image_keys):
        shuffled[image] = maps[image][:, _order(high, low, maps.shape[2], seed)]
    return shuffled


def _order(high: np.uint64, low: np.uint64, n: int, seed: int) -> NDArray[np.int32]:
    keys = np.empty((n, 2), np.uint64)
    keys[:, 0], keys[:, 1] = high, low ^ np.arange(n, dtype=np.uint64)
    # The labels 0, 1, .. shuffled like those of the baseline are places in a random order.
    return shuffled_labels(keys, np.arange(n, dtype=np.int32), seed, _PLACES)


def coordinates(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """The same vectors [images, features] in the space that they span: float64 [images, axes].

    All inner products stay what they are, so that every classifier that depends on these alone
    (linear machines with a squared penalty of weights, neighbours) finds the same. There are no
    more axes than images; along others than the span no vector differs.
    """
    gram = np.zeros((len(vectors), len(vectors)))
    for start in range(0, vectors.shape[1], _FEATURES_AT_ONCE):
        some = vectors[:, start : start + _FEATURES_AT_ONCE].astype(np.float64)
        gram += some @ some.T
    squares, axes = np.linalg.eigh(gram)
    spanned = squares > len(vectors) * np.finfo(np.float64).eps * squares.max(initial=0)
    found: NDArray[np.float64] = axes[:, spanned] * np.sqrt(squares[spanned])
    return found

"""The split into images to train and to test with, and normalised vectors for a classifier."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.shuffles import shuffled_labels

_ORDER: Final = 1 << 32  # no shuffle of the baseline has this number


def images_to_test(
    image_keys: NDArray[np.uint64], labels: NDArray[np.int32], share: float, seed: int
) -> NDArray[np.bool_]:
    """True for the images to test with: bool [images].

    ``image_keys`` is uint64 [images, 2], the two halves of each image id; ``labels`` is int32
    [images]. Each class gives its first images in a random order that depends only on ``seed`` and
    the ids: ``share`` of its images, rounded, but at least one and never all. So a class with one
    image gives none. Raises ValueError if an id occurs twice.
    """
    n = len(labels)
    # The labels 0, 1, .. shuffled like those of the baseline are places in a random order.
    places = shuffled_labels(image_keys, np.arange(n, dtype=np.int32), seed, _ORDER)
    sizes = np.bincount(labels)
    order = np.lexsort((places, labels))
    within_class = np.empty(n, np.int64)
    within_class[order] = np.arange(n) - (sizes.cumsum() - sizes)[labels[order]]
    n_test = np.minimum(sizes - 1, np.maximum(1, np.floor(share * sizes + 0.5)))
    chosen: NDArray[np.bool_] = within_class < n_test[labels]
    return chosen


def normalised(values: NDArray[Any], l2: bool, signed_root: bool) -> NDArray[np.float64]:
    """Normalise each vector of ``values`` [images, features] by itself: float64, the same shape.

    Values that are not finite become 0. ``l2`` then divides a vector by its Euclidean length,
    unless that is 0. ``signed_root`` then takes the square root of every magnitude and keeps the
    sign. The order is that of Azizpour et al.
    """
    vectors = np.where(np.isfinite(values), values, 0).astype(np.float64)
    if l2:
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(length > 0, length, 1)
    return np.sign(vectors) * np.sqrt(np.abs(vectors)) if signed_root else vectors

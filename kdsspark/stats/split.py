"""Images to train with and images to test with, and vectors as a linear classifier likes them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.shuffles import shuffled_labels

_ORDER: Final = 1 << 32  # no shuffle of the baseline has this number


def images_to_test(
    image_keys: NDArray[np.uint64], labels: NDArray[np.int32], share: float, seed: int
) -> NDArray[np.bool_]:
    """Which images to test with: bool [images].

    ``image_keys`` is uint64 [images, 2], the two halves of each image id; ``labels`` is int32
    [images]. Of every class it is the images that come first in an order given by ``seed`` and the
    ids alone: ``share`` of them, rounded, but at least one and never all; so a class with one
    image has none. Raises ValueError for an id that occurs twice.
    """
    n = len(labels)
    # Labels 0, 1, .. dealt out like those of a shuffle are places in its random order.
    places = shuffled_labels(image_keys, np.arange(n, dtype=np.int32), seed, _ORDER)
    sizes = np.bincount(labels)
    order = np.lexsort((places, labels))
    within_class = np.empty(n, np.int64)
    within_class[order] = np.arange(n) - (sizes.cumsum() - sizes)[labels[order]]
    n_test = np.minimum(sizes - 1, np.maximum(1, np.floor(share * sizes + 0.5)))
    chosen: NDArray[np.bool_] = within_class < n_test[labels]
    return chosen


def normalised(values: NDArray[Any], l2: bool, signed_root: bool) -> NDArray[np.float64]:
    """Vectors [images, features] as float64, what is not finite being 0, image by image.

    ``l2`` divides each by its Euclidean length, if it has one; ``signed_root`` then takes the
    square root of every magnitude and keeps its sign, in the order of Azizpour et al.
    """
    vectors = np.where(np.isfinite(values), values, 0).astype(np.float64)
    if l2:
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(length > 0, length, 1)
    return np.sign(vectors) * np.sqrt(np.abs(vectors)) if signed_root else vectors

"""The split into images to train and to test with, and normalised vectors for a classifier."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.shuffles import shuffled_labels

_ORDER: Final = 1 << 32  # no shuffle of the baseline has this number


class Split(NamedTuple):
    """The images to train with and those to test with: bool [images] each."""

    trained: NDArray[np.bool_]
    tested: NDArray[np.bool_]


def random_places(
    image_keys: NDArray[np.uint64], labels: NDArray[np.int32], seed: int, fold: int = 0
) -> NDArray[np.int64]:
    """The place of each image in a random order of its class: int64 [images], from 0.

    ``image_keys`` is uint64 [images, 2], the two halves of each image id; ``labels`` is int32
    [images]. The order depends only on ``seed``, ``fold`` and the ids. Raises ValueError if an id
    occurs twice.
    """
    n = len(labels)
    # The labels 0, 1, .. shuffled like those of the baseline are places in a random order.
    places = shuffled_labels(image_keys, np.arange(n, dtype=np.int32), seed, _ORDER + fold)
    sizes = np.bincount(labels)
    order = np.lexsort((places, labels))
    within_class = np.empty(n, np.int64)
    within_class[order] = np.arange(n) - (sizes.cumsum() - sizes)[labels[order]]
    return within_class


def split(
    places: NDArray[np.int64],
    labels: NDArray[np.int32],
    share: float,
    train_per_class: int | None = None,
    max_test: int | None = None,
) -> Split:
    """Split the images by their ``places`` (:func:`random_places`) within their classes.

    The first images of a class are tested: ``share`` of them, rounded, or all but the last
    ``train_per_class`` where that is given. Of a class with several images at least one is tested
    and one trained with; one image alone is trained with. At most ``max_test`` of a class are
    tested, the others of these in no set.
    """
    sizes = np.bincount(labels)
    wanted = np.floor(share * sizes + 0.5) if train_per_class is None else sizes - train_per_class
    n_test = np.minimum(sizes - 1, np.maximum(1, wanted))
    most = n_test if max_test is None else np.minimum(n_test, max_test)
    return Split(places >= n_test[labels], places < most[labels])


def images_to_test(
    image_keys: NDArray[np.uint64], labels: NDArray[np.int32], share: float, seed: int
) -> NDArray[np.bool_]:
    """True for the images to test with: bool [images].

    ``share`` of each class, as :func:`split` has it; takes what :func:`random_places` takes.
    """
    return split(random_places(image_keys, labels, seed), labels, share).tested


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

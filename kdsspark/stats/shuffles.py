"""Permuted labels for the shuffled-label baseline (paper section 7).

Images are put in a random order: that of ``(hash of (seed, shuffle, image id), image id)``. The
first class takes as many images as it has from the front, the second class takes the next ones,
and so on. So class sizes are kept, and the label of an image depends only on (seed, shuffle, all
ids, class sizes).

The places where one class ends and the next begins are enough to know all labels.
:class:`Boundaries` holds the first image of each class in that order; with them, the label of an
image follows from its id alone. :func:`shuffled_labels` does everything for ids in memory. For a
dataset that is split by rows, two passes find the boundaries, from partial results that can be
merged in any order:

    counts = HashCounts.zero().merge(count_hashes(keys, seed, shuffle))...
    buckets = counts.at_boundaries(class_sizes)
    candidates = Candidates.zero().merge(find_candidates(keys, buckets, seed, shuffle))...
    boundaries = find_boundaries(class_sizes, counts, candidates)
    labels = deal(keys, boundaries, seed, shuffle)

``keys`` (``image_keys`` below) are the ids of a part of the images: uint64 [images, 2], the two
halves of 128 bits each. ``class_sizes`` [classes] counts the images of the whole dataset.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.compiled import compiled, compiled_helper

_BUCKET_BITS: Final = 16
_BUCKETS: Final = 1 << _BUCKET_BITS


@dataclass(frozen=True, eq=False)
class HashCounts:
    """The number of images per bucket, the top 16 bits of their hash: int64 [65536]."""

    counts: NDArray[np.int64]

    @staticmethod
    def zero() -> HashCounts:
        """The counts of no images."""
        return HashCounts(np.zeros(_BUCKETS, np.int64))

    def merge(self, other: HashCounts) -> HashCounts:
        """The counts of the images of both."""
        return HashCounts(self.counts + other.counts)

    def at_boundaries(self, class_sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The buckets that hold the first image of each class except the first class.

        They ascend, and one that holds several of these images is repeated. Raises ValueError
        unless ``class_sizes`` add up to the number of counted images.
        """
        if class_sizes.sum() != self.counts.sum():
            raise ValueError(
                f"class sizes must add up to the {self.counts.sum()} images counted, "
                f"got {class_sizes.sum()}"
            )
        return np.searchsorted(self.counts.cumsum(), _first_places(class_sizes), "right")


@dataclass(frozen=True, eq=False)
class Candidates:
    """Images that can be the first of their class: uint64 [images, (hash, id, id)]."""

    images: NDArray[np.uint64]

    @staticmethod
    def zero() -> Candidates:
        """No images."""
        return Candidates(np.empty((0, 3), np.uint64))

    def merge(self, other: Candidates) -> Candidates:
        """The images of both."""
        return Candidates(np.concatenate([self.images, other.images]))


@dataclass(frozen=True, eq=False)
class Boundaries:
    """The first image of each class of a shuffle, except the first class.

    ``classes`` is int32 [classes with images], ascending. ``firsts`` is uint64 [one less,
    (hash, id, id)], also ascending.
    """

    classes: NDArray[np.int32]
    firsts: NDArray[np.uint64]


def count_hashes(image_keys: NDArray[np.uint64], seed: int, shuffle: int) -> HashCounts:
    """The first pass over a part of the images."""
    hashes = _hash_for_dealing(_as_keys(image_keys), seed, shuffle)
    return HashCounts(np.bincount(_bucket(hashes), minlength=_BUCKETS))


def find_candidates(
    image_keys: NDArray[np.uint64], buckets: NDArray[np.int64], seed: int, shuffle: int
) -> Candidates:
    """The second pass over a part of the images: selects those in ``buckets``.

    For each class, about one in 65,536 of all images is selected, and takes 24 bytes.
    """
    image_keys = _as_keys(image_keys)
    hashes = _hash_for_dealing(image_keys, seed, shuffle)
    wanted = np.zeros(_BUCKETS, np.bool_)
    wanted[buckets] = True
    picked = np.flatnonzero(wanted[_bucket(hashes)])
    return Candidates(np.column_stack([hashes[picked], image_keys[picked]]))


def find_boundaries(
    class_sizes: NDArray[np.int64], counts: HashCounts, candidates: Candidates
) -> Boundaries:
    """The boundaries, from both passes over all images.

    Raises ValueError if the number of candidates differs from that of the counts.
    """
    buckets = counts.at_boundaries(class_sizes)
    elsewhere = counts.counts.copy()
    elsewhere[buckets] = 0
    expected = counts.counts.sum() - elsewhere.sum()
    if len(candidates.images) != expected:
        raise ValueError(f"expected {expected} candidates, got {len(candidates.images)}")
    ordered = candidates.images[np.lexsort(candidates.images.T[::-1])]
    # From places among all images to places among the candidates.
    places = _first_places(class_sizes) - elsewhere.cumsum()[buckets]
    return Boundaries(np.flatnonzero(class_sizes).astype(np.int32), ordered[places])


def deal(
    image_keys: NDArray[np.uint64], boundaries: Boundaries, seed: int, shuffle: int
) -> NDArray[np.int32]:
    """The labels of a part of the images: int32 [images].

    Raises ValueError if there are images and the boundaries are those of a dataset without any.
    """
    image_keys = _as_keys(image_keys)
    if len(image_keys) and not boundaries.classes.size:
        raise ValueError(f"boundaries must have a class for {len(image_keys)} images, got none")
    hashes = _hash_for_dealing(image_keys, seed, shuffle)
    begins = np.zeros(_BUCKETS + 1, np.int64)
    in_buckets = np.bincount(_bucket(boundaries.firsts[:, 0]), minlength=_BUCKETS)
    in_buckets.cumsum(out=begins[1:])
    labels = np.empty(len(hashes), np.int32)
    _find_classes(image_keys, hashes, begins, boundaries.firsts, boundaries.classes, labels)
    return labels


def shuffled_labels(
    image_keys: NDArray[np.uint64], labels: NDArray[np.int32], seed: int, shuffle: int
) -> NDArray[np.int32]:
    """The labels of one shuffle: int32 [images]; shuffle 0 gives the true labels.

    ``image_keys`` is uint64 [images, 2], the two halves of each 128-bit image id, of the whole
    dataset in any order; ``labels`` is int32 [images].

    Raises ValueError for an id that occurs twice, for a negative shuffle and for shapes that do
    not fit.
    """
    if shuffle < 0:
        raise ValueError(f"shuffle must be at least 0, got {shuffle}")
    if image_keys.shape != (labels.size, 2) or labels.ndim != 1:
        raise ValueError(
            f"image_keys must be [images, 2] and labels [images], "
            f"got shapes {image_keys.shape} and {labels.shape}"
        )
    order = _order(_as_keys(image_keys), seed, shuffle)
    if shuffle == 0:
        return labels.astype(np.int32)
    result = np.empty(labels.size, np.int32)
    result[order] = np.sort(labels)
    return result


def _order(image_keys: NDArray[np.uint64], seed: int, shuffle: int) -> NDArray[np.intp]:
    """The images in their random order; raises ValueError if an id occurs twice."""
    hashes = _hash(image_keys, seed, shuffle)
    order = np.argsort(hashes)
    ordered = hashes[order]
    if not (ordered[1:] == ordered[:-1]).any():
        return order
    # Images with equal hashes (equal ids have them, too) are in the order of their ids.
    order = np.lexsort((image_keys[:, 1], image_keys[:, 0], hashes))
    keys = image_keys[order]
    twice = (keys[1:] == keys[:-1]).all(axis=1)
    if twice.any():
        first = keys[1:][twice][0]
        raise ValueError(f"image ids must differ, got {first[0]:016x}{first[1]:016x} twice")
    return order


def _first_places(class_sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place where each class with images begins, except the first of them."""
    sizes = class_sizes[class_sizes > 0]
    return sizes.cumsum()[:-1]


def _bucket(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (hashes >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)


def _as_keys(image_keys: NDArray[Any]) -> NDArray[np.uint64]:
    if image_keys.ndim != 2 or image_keys.shape[1] != 2:
        raise ValueError(f"image_keys must be [images, 2], got shape {image_keys.shape}")
    return np.ascontiguousarray(image_keys, np.uint64)


def _hash_for_dealing(
    image_keys: NDArray[np.uint64], seed: int, shuffle: int
) -> NDArray[np.uint64]:
    if shuffle < 1:
        raise ValueError(f"shuffle must be at least 1 to deal labels, got {shuffle}")
    return _hash(image_keys, seed, shuffle)


def _hash(image_keys: NDArray[np.uint64], seed: int, shuffle: int) -> NDArray[np.uint64]:
    """A hash of every image: uint64 [images]."""
    digest = hashlib.blake2b(f"{seed} {shuffle}".encode(), digest_size=16).digest()
    first, second = np.frombuffer(digest, "<u8").astype(np.uint64)
    hashes = np.empty(len(image_keys), np.uint64)
    _fill_hashes(image_keys, first, second, hashes)
    return hashes


@compiled
def _fill_hashes(
    image_keys: NDArray[np.uint64], first: Any, second: Any, hashes: NDArray[np.uint64]
) -> None:
    for i in range(hashes.shape[0]):
        hashes[i] = _mix(_mix(image_keys[i, 0] ^ first) ^ image_keys[i, 1] ^ second)


@compiled_helper
def _mix(z: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def _find_classes(
    image_keys: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    begins: NDArray[np.int64],
    firsts: NDArray[np.uint64],
    classes: NDArray[np.int32],
    labels: NDArray[np.int32],
) -> None:
    """Write the ``labels``; ``begins`` [buckets + 1] counts the ``firsts`` in lower buckets."""
    for i in range(hashes.shape[0]):
        bucket = hashes[i] >> np.uint64(64 - _BUCKET_BITS)
        passed, end = begins[bucket], begins[bucket + np.uint64(1)]
        while passed < end and not _is_before(
            hashes[i], image_keys[i, 0], image_keys[i, 1], firsts[passed]
        ):
            passed += 1
        labels[i] = classes[passed]


@compiled_helper
def _is_before(hashed: Any, high: Any, low: Any, image: NDArray[np.uint64]) -> bool:
    if hashed != image[0]:
        return bool(hashed < image[0])
    return bool(low < image[2] if high == image[1] else high < image[1])

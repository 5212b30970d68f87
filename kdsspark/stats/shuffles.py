"""Permuted labels for the shuffled-label baseline (paper section 7)."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def shuffled_labels(
    image_keys: NDArray[np.uint64], labels: NDArray[np.int32], seed: int, shuffle: int
) -> NDArray[np.int32]:
    """The labels of one shuffle: int32 [images]; shuffle 0 gives the true labels.

    ``image_keys`` is uint64 [images, 2], the two halves of each 128-bit image id; ``labels`` is
    int32 [images]. Images are put in a random order, a hash of (seed, shuffle, image id), and
    the first take the first class, as many as it has, the next the second, and so on. Class
    sizes are kept, and every task gives an image the same label, in whatever order it sees the
    images: what an image gets depends on (seed, shuffle, all ids, class sizes) only.

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
    high, low = image_keys.astype(np.uint64).T
    # Equal hashes of different images are in the order of their ids.
    order = np.lexsort((low, high, _hash(high, low, seed, shuffle)))
    ordered = image_keys[order]
    twice = (ordered[1:] == ordered[:-1]).all(axis=1)
    if twice.any():
        first = ordered[1:][twice][0]
        raise ValueError(f"image ids must differ, got {first[0]:016x}{first[1]:016x} twice")
    if shuffle == 0:
        return labels.astype(np.int32)
    result = np.empty(labels.size, np.int32)
    result[order] = np.sort(labels)
    return result


def _hash(
    high: NDArray[np.uint64], low: NDArray[np.uint64], seed: int, shuffle: int
) -> NDArray[np.uint64]:
    digest = hashlib.blake2b(f"{seed} {shuffle}".encode(), digest_size=16).digest()
    first, second = np.frombuffer(digest, "<u8").astype(np.uint64)
    return _mix(_mix(high ^ first) ^ low ^ second)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))

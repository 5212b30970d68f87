"""Images in the order of one feature's values, for the exact distances of :mod:`.ks`.

After a ReLU many images, often half of them, share a feature's lowest value. They come first
and their own order does not matter, so only the others are sorted.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.compiled import compiled, compiled_helper

_NONE: Final = np.uint32(0)  # the key of values that are not finite; no finite value has it
_HIGHEST_KEY: Final = np.uint32(0xFFFFFFFF)
_PASSES: Final = 3
_MOST_DIGITS: Final = 1 << 11  # three times 11 bits hold a key of 32
_NO_IMAGE: Final = np.empty(0, np.intp)


class Order(NamedTuple):
    """The finite values of one feature in ascending order; only those above the lowest are listed.

    ``images``, ``starts`` and ``ends`` are uint32 [values above the lowest]. Each value has its
    image and its run, the values equal to it: the run begins at place ``starts`` and ``ends`` is
    the place after it. Places number all finite values from 0, so the values equal to the lowest
    have the first ones. ``n`` counts the finite values; ``left_out`` lists the images of the
    others. ``lowest`` is the lowest value, NaN if there is none; a zero is 0.0.
    """

    images: NDArray[np.uint32]
    starts: NDArray[np.uint32]
    ends: NDArray[np.uint32]
    n: int
    left_out: NDArray[np.intp]
    lowest: float


class Sorter:
    """Sorts the features of a fixed number of images; reuses its scratch space for each."""

    def __init__(self, images: int) -> None:
        self._keys = np.empty(images, np.uint32)
        # One more, because a value is also written if it is not kept; the next overwrites it.
        self._pairs = np.empty((2, images + 1), np.uint64)
        self._digits = np.empty((_PASSES, _MOST_DIGITS), np.uint32)
        self._order = np.empty((3, images), np.uint32)

    def __call__(self, row: NDArray[Any]) -> Order:
        """The order of ``row`` [images], float32 or float64; the next call overwrites it."""
        distinct = None
        if row.dtype == np.float32:
            _keys_of_floats(row.view(np.uint32), self._keys)
        else:
            self._keys[:] = _NONE
            finite = np.isfinite(row)
            distinct, ranks = np.unique(row[finite], return_inverse=True)
            self._keys[finite] = 1 + ranks
        above, n, key = _sort(self._keys, self._pairs[0], self._pairs[1], self._digits, self._order)
        lowest = np.nan
        if n:
            lowest = _float_of_key(int(key)) if distinct is None else float(distinct[key - 1]) + 0.0
        left_out = np.flatnonzero(self._keys == _NONE) if n < row.size else _NO_IMAGE
        images, starts, ends = self._order[:, :above]
        return Order(images, starts, ends, int(n), left_out, lowest)


def _float_of_key(key: int) -> float:
    """The value that has this key, the reverse of :func:`_keys_of_floats`."""
    bits = key ^ 0x80000000 if key & 0x80000000 else key ^ 0xFFFFFFFF
    return float(np.uint32(bits).view(np.float32))


@compiled
def _keys_of_floats(bits: NDArray[np.uint32], keys: NDArray[np.uint32]) -> None:
    """Write keys in the order of the finite values; equal ones (also -0.0 and 0.0) share a key."""
    sign, infinite = np.uint32(0x80000000), np.uint32(0x7F800000)
    for i in range(bits.shape[0]):
        k = bits[i]
        # Set the sign of positive values; flip all bits of negative ones, which reverses them.
        key = sign if k == sign else k ^ (np.uint32(np.int32(k) >> 31) | sign)
        keys[i] = _NONE if k & infinite == infinite else key


@compiled
def _sort(
    keys: NDArray[np.uint32],
    pairs: NDArray[np.uint64],
    spare: NDArray[np.uint64],
    digits: NDArray[np.uint32],
    order: NDArray[np.uint32],
) -> tuple[int, np.int64, np.int64]:
    """Fill ``order`` with images, starts and ends (:class:`Order`).

    Returns the numbers of values above the lowest and of finite values, and the lowest key. The
    radix sort uses three digits. They have only as many bits as the difference of the highest and
    the second lowest key needs, because the lowest value, most often a zero, may lie far below.
    """
    lowest, highest, n = _extremes(keys)
    second = _least_above(keys, lowest)
    above = _fill_pairs(keys, lowest, second, pairs)
    bits = 1
    while above and (highest - second) >> (_PASSES * bits):
        bits += 1
    _count_digits(pairs[:above], bits, digits)
    _scatter(pairs[:above], 32, digits[0, : 1 << bits], spare)
    _scatter(spare[:above], 32 + bits, digits[1, : 1 << bits], pairs)
    _scatter(pairs[:above], 32 + 2 * bits, digits[2, : 1 << bits], spare)
    _fill_order(spare[:above], n - above, order[0], order[1], order[2])
    return above, n, lowest


@compiled_helper
def _extremes(keys: NDArray[np.uint32]) -> tuple[np.int64, np.int64, np.int64]:
    """The lowest key, the highest key, and the number of finite values."""
    lowest, highest, n = _HIGHEST_KEY, _NONE, np.uint32(0)
    for i in range(keys.shape[0]):
        k = keys[i]
        lowest = min(lowest, _HIGHEST_KEY if k == _NONE else k)
        highest = max(highest, k)
        n += np.uint32(k != _NONE)
    return np.int64(lowest), np.int64(highest), np.int64(n)


@compiled_helper
def _least_above(keys: NDArray[np.uint32], lowest: np.int64) -> np.int64:
    bound, least = np.uint32(lowest), _HIGHEST_KEY
    for i in range(keys.shape[0]):
        least = min(least, keys[i] if keys[i] > bound else _HIGHEST_KEY)
    return np.int64(least)


@compiled_helper
def _fill_pairs(
    keys: NDArray[np.uint32], lowest: np.int64, second: np.int64, pairs: NDArray[np.uint64]
) -> int:
    """Write pairs of a key above the lowest (high 32 bits) and its image; return their number.

    Keys are relative to the second lowest.
    """
    bound, base = np.uint32(lowest), np.uint32(second)
    n = 0
    for i in range(keys.shape[0]):
        k = keys[i]
        # Always written, and kept by moving on: a branch would often be predicted wrongly.
        pairs[n] = np.uint64(k - base) << np.uint64(32) | np.uint64(i)
        n += k > bound
    return n


@compiled_helper
def _count_digits(pairs: NDArray[np.uint64], bits: int, digits: NDArray[np.uint32]) -> None:
    low, middle, high = digits[0], digits[1], digits[2]
    digits[:, : 1 << bits] = 0
    shift, mask, one = np.uint64(bits), np.uint64((1 << bits) - 1), np.uint32(1)
    for i in range(pairs.shape[0]):
        k = pairs[i] >> np.uint64(32)
        low[k & mask] += one
        middle[(k >> shift) & mask] += one
        high[k >> (shift + shift)] += one


@compiled_helper
def _scatter(
    pairs: NDArray[np.uint64], lowest_bit: int, place: NDArray[np.uint32], out: NDArray[np.uint64]
) -> None:
    """One pass of a radix sort; ``place`` holds the number of pairs for each value of the digit."""
    start = np.uint32(0)
    for d in range(place.shape[0]):
        start, place[d] = start + place[d], start
    shift, mask = np.uint64(lowest_bit), np.uint64(place.shape[0] - 1)
    for i in range(pairs.shape[0]):
        digit = (pairs[i] >> shift) & mask
        to = place[digit]
        out[to] = pairs[i]
        place[digit] = to + np.uint32(1)


@compiled_helper
def _fill_order(
    pairs: NDArray[np.uint64],
    n_lowest: np.int64,
    images: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    ends: NDArray[np.uint32],
) -> None:
    start, before = np.int64(0), _HIGHEST_KEY  # no pair has this key
    for i in range(pairs.shape[0]):
        key = np.uint32(pairs[i] >> np.uint64(32))
        start = start if key == before else n_lowest + i
        images[i], starts[i], before = np.uint32(pairs[i]), start, key
    end, after = np.int64(0), _HIGHEST_KEY
    for i in range(pairs.shape[0] - 1, -1, -1):
        key = np.uint32(pairs[i] >> np.uint64(32))
        end = end if key == after else n_lowest + i + 1
        ends[i], after = end, key

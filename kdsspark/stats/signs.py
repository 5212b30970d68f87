"""In how many places the signs of two vectors differ (Zeiler & Fergus 2014, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Signs(NamedTuple):
    """The signs of a vector (-1, 0 or 1), one bit each: uint8 [values / 8, rounded up]."""

    above: npt.NDArray[np.uint8]
    below: npt.NDArray[np.uint8]


def signs(values: npt.NDArray[Any]) -> Signs:
    """The signs of the values; those of NaN are 0."""
    return Signs(np.packbits(values > 0), np.packbits(values < 0))


def hamming(one: Signs, other: Signs) -> int:
    """The number of values whose signs differ; from 0 to 1 counts like from -1 to 1."""
    differ = (one.above ^ other.above) | (one.below ^ other.below)
    return int(np.bitwise_count(differ).sum(dtype=np.int64))


def of_pairs(vectors: Sequence[Signs]) -> npt.NDArray[np.int64]:
    """:func:`hamming` of every two vectors: [pairs]."""
    return np.array([hamming(*pair) for pair in combinations(vectors, 2)], np.int64)

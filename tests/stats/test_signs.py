"""Signs that differ, counted by numpy and by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from kdsspark.stats.signs import hamming, of_pairs, signs


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ([1, 0, -1], [2, 0, -3], 0),
        ([1, 0, -1], [-1, 0, 1], 2),
        ([1, 0, -1], [0, 0, 0], 2),  # to none counts like to the other sign
        ([1, 0, -1], [0, 1, 0], 3),
        ([np.nan, -0.0, np.inf], [0, 0, 1e-30], 0),
        ([], [], 0),
    ],
)
def test_by_hand(one: list[float], other: list[float], differ: int) -> None:
    assert hamming(signs(np.array(one)), signs(np.array(other))) == differ
    assert hamming(signs(np.array(other)), signs(np.array(one))) == differ


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_are_what_numpy_counts(n: int, dtype: type) -> None:
    vectors = np.random.default_rng(n).integers(-2, 3, (5, n)).astype(dtype)
    expected = [(np.sign(a) != np.sign(b)).sum() for a, b in combinations(vectors, 2)]
    assert of_pairs([signs(vector) for vector in vectors]).tolist() == expected


def test_one_vector_has_no_pair() -> None:
    assert of_pairs([signs(np.ones(3))]).tolist() == []

"""Summaries against plain counts by numpy, and in parts."""

from __future__ import annotations

from functools import reduce
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from kdsspark.stats.summaries.counts import Summary
from kdsspark.stats.summaries.thresholds import GRID, SURVIVAL_GRID

Array = np.ndarray[Any, Any]


@pytest.fixture
def ks() -> Array:
    """Distances [units, classes] on a fine grid, a tenth of them undefined."""
    rng = np.random.default_rng(0)
    ks = rng.integers(-40, 41, (30, 4)) / 40
    ks[rng.random(ks.shape) < 0.1] = np.nan
    return ks


def numbers(summary: Summary) -> list[Any]:
    tally = summary.tally
    arrays = tally.plus, tally.minus, summary.survival, summary.distribution
    assert [array.dtype for array in arrays] == [np.int64] * 4
    return [*(array.tolist() for array in arrays), tally.n_pairs]


def test_each_count_is_that_of_numpy(ks: Array) -> None:
    plus = [int((ks > x).sum()) for x in GRID]
    minus = [int((-ks > x).sum()) for x in GRID]
    survival = [
        [[int((sign * column > x).sum()) for x in SURVIVAL_GRID] for sign in (1, -1)]
        for column in ks.T
    ]
    defined = ks[np.isfinite(ks)]
    distribution = np.histogram(defined, 200, (-1, 1))[0].tolist()
    assert 0 < defined.size < ks.size
    assert numbers(Summary.of(ks)) == [plus, minus, survival, distribution, defined.size]


def test_parts_add_up_in_any_order(ks: Array) -> None:
    parts = [Summary.of(part) for part in np.split(ks, [7, 7, 20])]
    for order in permutations(parts):
        assert numbers(reduce(Summary.merge, order)) == numbers(Summary.of(ks))
    assert numbers(parts[0].merge(parts[2].merge(parts[3]))) == numbers(Summary.of(ks))


def test_the_largest_reach_of_all_parts_is_kept() -> None:
    parts = [Summary.of(np.zeros((1, 2)), reach) for reach in (0.5, 2.5, 1.0)]
    for order in permutations(parts):
        assert reduce(Summary.merge, order, Summary.zero(2)).tally.reach == 2.5


def test_the_summary_of_no_features_changes_nothing(ks: Array) -> None:
    whole = Summary.of(ks)
    assert numbers(Summary.zero(4)) == numbers(Summary.of(ks[:0]))
    assert numbers(Summary.zero(4).merge(whole)) == numbers(whole)
    assert numbers(whole.merge(Summary.zero(4))) == numbers(whole)

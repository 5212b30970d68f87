from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdsspark.stats.summaries.thresholds import (
    GRID,
    SURVIVAL_GRID,
    Tally,
    distribution,
    survival,
    tally,
    thresholds,
)

Floats = np.ndarray[Any, Any]


def awkward_distances(seed: int = 0) -> Floats:
    """[units, classes]: random, on the grids and one step beside them, extreme, undefined."""
    rng = np.random.default_rng(seed)
    on = np.concatenate([GRID, np.nextafter(GRID, 2), np.nextafter(GRID[1:], -1)])
    on = on[on <= 1]
    fractions = np.arange(-50, 51) / 50
    special = np.array([0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, np.nan, np.nan])
    ks = np.concatenate([on, -on, fractions, special, rng.uniform(-1, 1, 500)])
    ks = rng.permutation(ks)
    return ks[: ks.size // 3 * 3].reshape(-1, 3)


def test_the_grid_is_of_doubles_nearest_to_the_thousandths() -> None:
    assert GRID.tolist() == [float(Fraction(k, 1000)) for k in range(1001)]
    assert SURVIVAL_GRID.tolist() == [float(Fraction(k, 100)) for k in range(101)]


def test_a_tally_counts_strictly_beyond_every_x() -> None:
    ks = awkward_distances()
    result = tally(ks)
    assert result.plus.tolist() == [int((ks > x).sum()) for x in GRID]
    assert result.minus.tolist() == [int((-ks > x).sum()) for x in GRID]
    assert result.n_pairs == np.isfinite(ks).sum()


def test_tallies_add_up_over_units() -> None:
    def numbers(t: Tally) -> tuple[list[int], list[int], int]:
        return t.plus.tolist(), t.minus.tolist(), t.n_pairs

    ks = awkward_distances()
    a, b, c = (tally(part) for part in np.split(ks, [100, 350]))
    assert numbers(a.merge(b).merge(c)) == numbers(a.merge(b.merge(c))) == numbers(tally(ks))
    assert numbers(a.merge(b)) == numbers(b.merge(a))
    assert numbers(Tally.zero().merge(a)) == numbers(a.merge(Tally.zero())) == numbers(a)


@settings(max_examples=25)
@given(
    arrays(float, (6, 2), elements=st.integers(-20, 20).map(lambda k: k / 20)),
    arrays(float, (6, 3), elements=st.integers(-10, 10).map(lambda k: k / 20)),
)
def test_thresholds_are_those_of_equation_4_in_fractions(true: Floats, shuffled: Floats) -> None:
    result = thresholds(tally(true), 2, tally(shuffled), 3)

    def davg(x: float, sign: int) -> Fraction:
        return Fraction(int((sign * true > x).sum()), 2) - Fraction(
            int((sign * shuffled > x).sum()), 3
        )

    for sign, t, d, curve in (
        (1, result.t_plus, result.davg_plus, result.plus),
        (-1, result.t_minus, result.davg_minus, result.minus),
    ):
        values = [davg(x, sign) for x in GRID]
        first = values.index(max(values))
        assert t == sign * GRID[first]
        assert t is not None
        assert not np.signbit(t) or t < 0
        assert d == float(values[first])
        assert curve.davg.tolist() == [float(v) for v in values]
        assert curve.n_true.tolist() == [(sign * true > x).sum() / 2 for x in GRID]
        assert curve.n_shuffled.tolist() == [(sign * shuffled > x).sum() / 3 for x in GRID]


def test_a_worked_example() -> None:
    # Both true distances stay above 0.299, one shuffled one of two classes is above 0.1 no more.
    true, shuffled = tally(np.array([[0.3], [0.4], [-0.2]])), tally(np.array([[0.1, 0.05]]))
    result = thresholds(true, 1, shuffled, 2)
    assert (result.t_plus, result.davg_plus) == (0.1, 2.0)
    assert (result.t_minus, result.davg_minus) == (0.0, 1.0)
    assert str(result.t_minus) == "0.0"


@pytest.mark.parametrize("undefined", ["true", "shuffled", "both"])
def test_without_a_distance_there_is_no_threshold(undefined: str) -> None:
    some, none = tally(np.array([[0.5]])), tally(np.full((3, 1), np.nan))
    true = some if undefined == "shuffled" else none
    shuffled = some if undefined == "true" else none
    result = thresholds(true, 1, shuffled, 1)
    numbers = (result.t_plus, result.davg_plus, result.t_minus, result.davg_minus)
    assert numbers == (None, None, None, None)
    assert result.plus.davg.shape == (1001,)


def test_no_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1, got 2 and 0"):
        thresholds(Tally.zero(), 2, Tally.zero(), 0)


def test_survival_counts_features_of_every_class_strictly_beyond_x() -> None:
    ks = awkward_distances(1)
    result = survival(ks)
    assert result.shape == (3, 2, 101)
    assert result.dtype == np.int64
    for label in range(3):
        for i, sign in enumerate((1, -1)):
            expected = [int((sign * ks[:, label] > x).sum()) for x in SURVIVAL_GRID]
            assert result[label, i].tolist() == expected


def test_distribution_is_numpys_histogram_without_the_undefined() -> None:
    ks = np.concatenate([awkward_distances(2).ravel(), np.linspace(-1, 1, 201)])
    result = distribution(ks)
    expected = np.histogram(ks[~np.isnan(ks)], 200, (-1, 1))[0]
    assert result.dtype == np.int64
    assert result.tolist() == expected.tolist()
    assert distribution(np.full((2, 2), np.nan)).tolist() == [0] * 200

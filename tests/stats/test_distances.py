from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import spatial, stats

from kdsspark import tables
from kdsspark.config import types as validation
from kdsspark.stats.distances import DISTANCES

Array = np.ndarray[Any, Any]
Oracle = Callable[[Array, Array], float]
HISTOGRAMS = arrays(np.int32, (2, 3, 5), elements=st.sampled_from([0, 0, 1, 2, 3, 17]))


def outer_with_one_more(p: Array, q: Array) -> Array:
    """The outer shares after one more image, spread over the bins like the whole dataset."""
    spread = (p + q) / (p.sum() + q.sum())
    return np.asarray((q + spread) / (q + spread).sum())


def kullback_leibler(p: Array, q: Array) -> float:
    return float(stats.entropy(p, outer_with_one_more(p, q)))


def jensen_shannon(p: Array, q: Array) -> float:
    return float(spatial.distance.jensenshannon(p, q, base=2))


def bhattacharyya(p: Array, q: Array) -> float:
    coefficient = np.sqrt(p / p.sum() * q / q.sum()).sum()
    return -math.log(coefficient) if coefficient else math.inf


def mutual_information(p: Array, q: Array) -> float:
    joint = np.stack([p, q]) / (p.sum() + q.sum())
    return sum(
        joint[i, b] * math.log(joint[i, b] / (joint[i].sum() * joint[:, b].sum()))
        for i, b in np.ndindex(joint.shape)
        if joint[i, b] > 0
    )


def wasserstein(p: Array, q: Array) -> float:
    places = np.arange(p.size) / p.size
    return float(stats.wasserstein_distance(places, places, p, q))


def auc(p: Array, q: Array) -> float:
    inner, outer = samples(p), samples(q)
    twice = sum(2 * (x > y) + (x == y) for x in inner for y in outer)
    return twice / (2 * len(inner) * len(outer))


def average_precision(p: Array, q: Array) -> float:
    inner, outer = samples(p), samples(q)
    precision = Fraction(0)
    for x in inner:
        right, wrong = sum(y >= x for y in inner), sum(y >= x for y in outer)
        precision += Fraction(right, right + wrong)
    return float(precision / len(inner))


def samples(counts: Array) -> list[int]:
    """The bin of each image."""
    return np.repeat(np.arange(counts.size), counts).tolist()


ORACLES: dict[str, Oracle] = {
    f.__name__: f
    for f in [
        kullback_leibler,
        jensen_shannon,
        bhattacharyya,
        mutual_information,
        wasserstein,
        auc,
        average_precision,
    ]
}


def distances(name: str, *classes: list[int]) -> list[float]:
    """Of each class, for one unit."""
    values: list[float] = DISTANCES[name](np.array([classes], np.int32))[0].tolist()
    return values


def entropy(n: int, m: int) -> float:
    return float(stats.entropy([n, m]))


def test_every_distance_has_an_oracle_a_column_and_can_be_asked_for() -> None:
    assert DISTANCES.keys() == ORACLES.keys()
    assert list(DISTANCES) == [c.name for c in tables.DISTANCES.columns if c.nullable]
    assert tuple(DISTANCES) == get_args(validation.Distance)
    assert all(function.__name__ == name for name, function in DISTANCES.items())


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=100)
@given(HISTOGRAMS)
def test_distances_are_those_of_the_definitions(name: str, counts: Array) -> None:
    result = DISTANCES[name](counts)
    assert result.shape == (2, 3)
    assert result.dtype == np.float64
    for unit, label in np.ndindex(2, 3):
        p = counts[unit, label]
        q = counts[unit].sum(axis=0) - p
        value = float(result[unit, label])
        if p.any() and q.any():
            # scipy takes the root of a divergence that rounding has moved by up to 1e-16.
            assert value == pytest.approx(ORACLES[name](p, q), rel=1e-12, abs=5e-8)
        else:
            assert math.isnan(value)


@pytest.mark.parametrize("name", ORACLES)
def test_distances_of_many_images_are_those_of_the_definitions(name: str) -> None:
    rng = np.random.default_rng(0)
    centres = rng.uniform(30, 70, (2, 4, 1))
    codes = np.clip(rng.normal(centres, 12, (2, 4, 90)), 0, 99).astype(int)
    counts = np.apply_along_axis(np.bincount, 2, codes, minlength=100).astype(np.int32)
    result = DISTANCES[name](counts)
    for unit, label in np.ndindex(2, 4):
        p = counts[unit, label]
        expected = ORACLES[name](p, counts[unit].sum(axis=0) - p)
        assert result[unit, label] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kullback_leibler", 1.118),
        ("jensen_shannon", 0.662),
        ("bhattacharyya", 0.490),
        ("mutual_information", 0.262),
        ("wasserstein", 0.375),
        ("auc", 0.875),
        ("average_precision", 0.688),
    ],
)
def test_the_example_of_the_documentation(name: str, expected: float) -> None:
    assert distances(name, [0, 1, 3], [4, 3, 1])[0] == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize(
    "classes",
    [
        ([3, 0, 7, 1], [9, 0, 21, 3]),  # equal shares, not equal counts
        ([5, 0, 0], [7, 0, 0], [30, 0, 0]),  # a constant feature
    ],
)
def test_equal_distributions_have_the_value_of_no_difference(
    name: str, classes: tuple[list[int], ...]
) -> None:
    sizes = np.sum(classes, axis=1)
    for n, value in zip(sizes, distances(name, *classes), strict=True):
        expected = {"auc": 0.5, "average_precision": n / sizes.sum()}.get(name, 0.0)
        assert value == pytest.approx(expected, rel=1e-15, abs=0)  # so 0 is exactly that
        assert math.copysign(1, value) == 1


def test_classes_that_share_no_bin() -> None:
    low, high = [20, 5, 0, 0], [0, 0, 4, 6]
    n, m, total = 10, 25, 35
    assert distances("kullback_leibler", high, low)[0] == pytest.approx(
        math.log(total * (m + 1) / n)
    )
    assert distances("bhattacharyya", high, low) == [math.inf, math.inf]
    assert distances("jensen_shannon", high, low) == [1.0, 1.0]
    assert distances("mutual_information", high, low) == pytest.approx([entropy(n, m)] * 2)
    assert distances("auc", high, low) == [1.0, 0.0]
    assert distances("average_precision", high, low)[0] == 1.0
    assert distances("wasserstein", [1, 0, 0, 0], [0, 0, 0, 1]) == [0.75, 0.75]


def test_images_of_one_bin_are_retrieved_at_once() -> None:
    assert distances("average_precision", [0, 1], [0, 3]) == [0.25, 0.75]
    assert distances("average_precision", [1, 1], [2, 0])[0] == (1 + 2 / 4) / 2
    assert distances("average_precision", [1, 0], [0, 3])[0] == 0.25  # lower is not tried


@settings(max_examples=200)
@given(HISTOGRAMS)
def test_one_more_outer_image_never_adds_to_the_divergence(counts: Array) -> None:
    result = DISTANCES["kullback_leibler"](counts)
    for unit, label in np.ndindex(2, 3):
        p = counts[unit, label]
        q = counts[unit].sum(axis=0) - p
        if p.any() and q.any():
            part = p.sum() / ((p + q).sum() * (q.sum() + 1))
            equation_1 = stats.entropy(p, q)
            assert result[unit, label] <= min(equation_1 * (1 - part), -math.log(part)) + 1e-12


def test_with_many_outer_images_the_divergence_is_the_paper_s() -> None:
    rng = np.random.default_rng(1)
    p, q = rng.integers(0, 9, 100), rng.integers(1000, 2000, 100)
    divergence = distances("kullback_leibler", p.tolist(), q.tolist())[0]
    assert divergence == pytest.approx(stats.entropy(p, q), rel=1e-5)


@settings(max_examples=100)
@given(arrays(np.int32, (1, 2, 6), elements=st.integers(0, 5)))
def test_swapping_inner_and_outer(counts: Array) -> None:
    if not counts.any(axis=2).all():
        return
    for name in ("jensen_shannon", "bhattacharyya", "mutual_information", "wasserstein"):
        first, second = distances(name, *counts[0].tolist())
        assert first == pytest.approx(second, rel=1e-12, abs=1e-15)
    assert sum(distances("auc", *counts[0].tolist())) == 1.0


@pytest.mark.parametrize("name", ORACLES)
def test_empty_bins_change_nothing_but_the_range(name: str) -> None:
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 4, (3, 4, 10)).astype(np.int32)
    wider = np.zeros((3, 4, 20), np.int32)
    wider[:, :, 7:17] = counts
    scale = 2 if name == "wasserstein" else 1
    function = DISTANCES[name]
    np.testing.assert_allclose(function(wider) * scale, function(counts), rtol=1e-14)


@pytest.mark.parametrize("name", ORACLES)
def test_cells_do_not_depend_on_their_neighbours(name: str) -> None:
    counts = np.random.default_rng(3).integers(0, 4, (4, 5, 9)).astype(np.int32)
    counts[1, 2] = counts[2, 1:] = 0  # inner empty, then outer
    whole = DISTANCES[name](counts)
    assert np.isnan(whole).sum() == 1 + 5
    order = [3, 1, 4, 0, 2]
    assert DISTANCES[name](counts[:, order]).tobytes() == whole[:, order].tobytes()
    for unit in range(4):
        alone = DISTANCES[name](counts[unit : unit + 1])
        assert alone.tobytes() == whole[unit : unit + 1].tobytes()


@pytest.mark.parametrize("name", ORACLES)
def test_products_of_large_counts_do_not_overflow(name: str) -> None:
    p, q = [10_000_001, 0, 19_999_999], [30_000_000, 20_000_003, 9_999_997]
    value = distances(name, p, q)[0]
    small = distances(name, [1000, 0, 2000], [3000, 2000, 1000])[0]
    assert value == pytest.approx(small, rel=1e-3)


def test_the_area_is_rounded_once() -> None:
    p, q = [10_000_001, 0, 19_999_999], [30_000_000, 20_000_003, 9_999_997]
    twice = p[0] * q[0] + p[2] * (2 * (q[0] + q[1]) + q[2])
    assert distances("auc", p, q)[0] == float(Fraction(twice, 2 * sum(p) * sum(q)))


def test_rounding_does_not_leave_the_range_of_jensen_shannon() -> None:
    # Unclamped, the divergence of the first pair is above 1 and that of the second below 0.
    assert distances("jensen_shannon", [1] * 20 + [0] * 20, [0] * 20 + [1] * 20) == [1.0, 1.0]
    almost = [60_000_000, 90_000_000, 30_000_000], [60_000_001, 90_000_001, 30_000_000]
    assert distances("jensen_shannon", *almost) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "inner", "outer"),
    [
        ("kullback_leibler", [1688240, 1804212], [3376481, 3608425]),
        ("mutual_information", [2902521, 74399], [8707564, 223197]),
    ],
)
def test_rounding_does_not_make_a_distance_negative(
    name: str, inner: list[int], outer: list[int]
) -> None:
    # The exact value is below 1e-15; the sum of the rounded terms is below 0.
    assert 0 <= distances(name, inner, outer)[0] < 1e-15


@pytest.mark.parametrize("name", ORACLES)
def test_what_is_empty_or_of_another_shape(name: str) -> None:
    function = DISTANCES[name]
    assert function(np.zeros((0, 3, 5), np.int32)).shape == (0, 3)
    assert function(np.zeros((2, 0, 5), np.int32)).shape == (2, 0)
    assert np.isnan(function(np.ones((1, 1, 5), np.int32))).all()  # one class has no outer
    with pytest.raises(ValueError, match=r"must be \[units, classes, bins\], got shape \(2, 2\)"):
        function(np.zeros((2, 2), np.int32))

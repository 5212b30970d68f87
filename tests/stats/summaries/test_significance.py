from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kdsspark.stats.ks import exact_ks
from kdsspark.stats.summaries.significance import (
    EXACT_PRODUCT,
    max_p_values,
    p_values,
    q_values,
    reach,
)


def one(ks: float, n_inner: int, n_outer: int) -> float:
    return float(p_values(np.array([ks]), np.array([n_inner]), np.array([n_outer]))[0])


@pytest.mark.parametrize(("n_inner", "n_outer"), [(1, 30), (5, 5), (14, 40), (60, 61), (90, 33)])
def test_small_samples_are_exact(n_inner: int, n_outer: int) -> None:
    rng = np.random.default_rng(n_inner)
    labels = np.repeat([0, 1], [n_inner, n_outer]).astype(np.int32)
    for shift in (-1.0, 0.0, 0.3, 2.0):
        values = rng.normal(size=labels.size) + shift * (labels == 0)
        expected = stats.ks_2samp(values[labels == 0], values[labels == 1], method="exact")
        ks = exact_ks(values[None], labels[None], 2)[0, 0, 0]
        assert one(ks, n_inner, n_outer) == pytest.approx(expected.pvalue, rel=1e-12)


def two_samples(share: float, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Samples of zeros and ones, all of the outer one ones: the distance is near ``share``."""
    return (np.arange(n) >= round(share * n)).astype(float), np.ones(m)


@pytest.mark.parametrize(
    ("n_inner", "n_outer", "tolerance"),
    [
        (22, 3000, 0.05),
        (41, 3000, 0.05),
        (250, 4000, 0.05),
        (120, 170, 0.2),
        (100, 101, 0.2),
    ],
)
def test_large_samples_are_near_exact_down_to_a_thousandth(
    n_inner: int, n_outer: int, tolerance: float
) -> None:
    assert n_inner * n_outer > EXACT_PRODUCT
    compared = 0
    for share in np.arange(1, n_inner + 1) / n_inner:
        samples = two_samples(share, n_inner, n_outer)
        exact = stats.ks_2samp(*samples, method="exact")
        if not 1e-3 <= exact.pvalue < 0.999:
            continue
        assert one(exact.statistic, n_inner, n_outer) == pytest.approx(exact.pvalue, rel=tolerance)
        compared += 1
    assert compared >= 3


def test_large_samples_are_near_scipys_asymptotic_value() -> None:
    for share in np.arange(12, 40) / 500:
        samples = two_samples(share, 500, 20_000)
        expected = stats.ks_2samp(*samples, method="asymp")
        assert one(expected.statistic, 500, 20_000) == pytest.approx(expected.pvalue, rel=0.03)


@pytest.mark.parametrize(("n_inner", "n_outer"), [(1, 20_000), (3, 9_000), (8, 3_000)])
def test_for_classes_of_a_few_images_it_is_not_far_too_small(n_inner: int, n_outer: int) -> None:
    for share in np.arange(1, n_inner + 1) / n_inner:
        samples = two_samples(share, n_inner, n_outer)
        exact = stats.ks_2samp(*samples, method="exact")
        assert one(exact.statistic, n_inner, n_outer) > 0.7 * exact.pvalue


def test_signs_shapes_and_the_undefined() -> None:
    ks = np.array([[0.5, -0.5, np.nan], [0.0, 1.0, -1.0]])
    n_inner = np.array([4, 4, 0])
    small = p_values(ks[:, :2], n_inner[:2], n_inner[:2])
    assert small[0, 0] == small[0, 1]
    assert small[1].tolist() == pytest.approx([1.0, 2 / 70])  # 70 ways to choose 4 of 8
    assert np.isnan(p_values(ks[:1, 2:], n_inner[2:], np.array([9]))).all()
    large = p_values(ks, np.array([400, 400, 400]), np.array([[900], [100]]))
    assert large.shape == (2, 3)
    assert np.isnan(large[0, 2])
    assert large[0, 0] == large[0, 1] < 1e-50
    assert large[1, 0] == 1.0
    assert p_values(np.empty(0), np.empty(0, int), np.empty(0, int)).shape == (0,)


def test_a_distance_that_these_sizes_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"samples of 2 and 2, got 0\.25"):
        one(0.25, 2, 2)


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    p = np.array([[0.01, np.nan, 0.04], [0.03, 0.5, np.nan]])
    # Sorted 0.01, 0.03, 0.04, 0.5 times 4 / rank, then the least of what follows.
    expected = [[0.04, np.nan, 0.16 / 3], [0.16 / 3, 0.5, np.nan]]
    np.testing.assert_allclose(q_values(p), expected, rtol=1e-14)
    assert np.isnan(q_values(np.full(3, np.nan))).all()


@pytest.mark.parametrize("size", [1, 2, 5, 7, 8, 13, 37])
def test_the_smallest_distance_of_samples_of_one_size_is_certain(size: int) -> None:
    """Without ties they differ by 1 / n at least; scipy's sum for 5, 7, 13 and 37 exceeds 1."""
    found = p_values(np.array([0, 1 / size]), np.array([size] * 2), np.array([size] * 2))
    assert found.tolist() == [1, 1]


def test_the_reach_of_small_and_large_classes_is_alike() -> None:
    ks = np.array([-0.5, 0.05, np.nan, 0.3])
    sizes = np.array([4, 400, 0, 1]), np.array([12, 1200, 9, 3])
    found = reach(ks, *sizes)
    assert found[[0, 1, 3]] == pytest.approx([0.5 * 3**0.5, 0.05 * 300**0.5, 0.3 * 0.75**0.5])
    assert np.isnan(found[2])


def test_family_wise_p_values_count_labelings_that_reach_as_far() -> None:
    largest = np.array([3.0, 1.0, 2.0, 2.0])
    reached = np.array([[0.5, 1.0, 2.0], [2.5, 4.0, np.nan]])
    expected = [[(1 + sum(each >= x for each in largest)) / 5 for x in row] for row in reached]
    expected[1][2] = np.nan
    np.testing.assert_array_equal(max_p_values(reached, largest), expected)
    assert max_p_values(np.array([1.0]), np.empty(0)).tolist() == [1.0]


def test_family_wise_p_values_keep_their_level_whatever_the_sizes_and_ties() -> None:
    """Without any difference, a share alpha of datasets has a pair with p_max <= alpha."""
    rng = np.random.default_rng(4)
    sizes = np.array([2, 10, 28])
    labels = np.repeat(range(3), sizes)
    below = 0
    for _ in range(400):
        values = np.maximum(rng.integers(-4, 5, (4, 40)), 0).astype(np.float32)
        values[1] = values[0]
        labelings = np.stack([rng.permutation(labels) for _ in range(20)]).astype(np.int32)
        reached = reach(exact_ks(values, labelings, 3), sizes, 40 - sizes)
        p = max_p_values(reached[0], reached[1:].max((1, 2)))
        below += p.min() <= 0.1
    # The first of 20 labelings alike is among the best two in a tenth, less often with ties.
    assert 15 < below <= 55

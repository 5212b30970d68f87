"""What is chosen from distances, against plain loops, numpy and all orders of a tree."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kdsspark.report.gallery import choice
from kdsspark.report.gallery.choice import Kin


def coarse(seed: int, *shape: int) -> np.ndarray:
    """Distances with many ties and zeros."""
    return np.random.default_rng(seed).integers(-5, 6, shape).astype(np.float32) / 5


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "of_a_layer"), [(4, 1), (8, 2), (50, 3)])
def test_the_strongest_come_from_all_layers(seed: int, n: int, of_a_layer: int) -> None:
    layers = np.repeat(np.arange(5, dtype=np.int32), [1, 9, 9, 2, 9])
    values = coarse(seed, len(layers))
    want: list[int] = []
    for feature in sorted(range(len(values)), key=lambda f: (-values[f], f)):
        of = [f for f in want if layers[f] == layers[feature]]
        if values[feature] > 0 and len(of) < of_a_layer and len(want) < n:
            want.append(feature)
    assert choice.strongest(values, layers, n, of_a_layer) == want


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 5, 40])
def test_extremes_are_the_ends_of_a_sorted_list(seed: int, n: int) -> None:
    values = coarse(seed, 21)
    high, low = choice.extremes(values, n)
    assert high == sorted(np.flatnonzero(values > 0), key=lambda i: (-values[i], i))[:n]
    assert low == sorted(np.flatnonzero(values < 0), key=lambda i: (values[i], -i))[:n]


@pytest.mark.parametrize("seed", range(4))
def test_kin_share_most_features(seed: int) -> None:
    ks, t_plus, t_minus, shown = coarse(seed, 7, 30), 0.5, -0.7, [3, 4, 11, 20]
    ks[2] = 0
    for c, found in enumerate(choice.kin(ks, t_plus, t_minus, shown, 3)):
        shared = {}
        for other in range(7):
            both = [
                (a > t_plus and b > t_plus) or (a < t_minus and b < t_minus)
                for a, b in zip(ks[c], ks[other], strict=True)
            ]
            if other != c and any(both):
                shared[other] = sum(both)
        want = sorted(shared, key=lambda other: (-shared[other], other))[:3]
        assert [(kin.other, kin.n_shared) for kin in found] == [(o, shared[o]) for o in want]
        for kin in found:
            gaps = {f: float(ks[c, f] - ks[kin.other, f]) for f in shown}
            above, below = max(gaps, key=gaps.__getitem__), min(gaps, key=gaps.__getitem__)
            assert kin.above == (above if gaps[above] > 0 else None)
            assert kin.below == (below if gaps[below] < 0 else None)
    assert not choice.kin(ks, t_plus, t_minus, shown, 3)[2]  # a class without any distance


def test_kin_without_drawn_features_are_parted_by_none() -> None:
    ks = np.ones((2, 3), np.float32)
    assert choice.kin(ks, 0.5, -0.5, [], 5) == [[Kin(1, 3, None, None)], [Kin(0, 3, None, None)]]
    assert choice.kin(ks[:1], 0.5, -0.5, [0], 5) == [[]]


def test_likeness_is_correlation() -> None:
    ks = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    ks[2] = -ks[1]
    found = choice.likeness(ks)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.corrcoef(ks), atol=1e-6)
    assert found[1, 2] == pytest.approx(-1)
    assert abs(found).max() <= 1


def test_a_class_without_distances_is_like_none() -> None:
    ks = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    ks[1] = 0.25
    found = choice.likeness(ks)
    assert found[1].tolist() == [0, 1, 0]
    assert np.isfinite(found).all()


def by_loops(apart: np.ndarray) -> Any:
    """A tree of average linkage: a leaf, or a pair of trees."""
    trees: dict[Any, list[int]] = {leaf: [leaf] for leaf in range(len(apart))}
    while len(trees) > 1:
        pairs = ((a, b) for a in trees for b in trees if trees[a] < trees[b])
        a, b = min(pairs, key=lambda ab: apart[np.ix_(trees[ab[0]], trees[ab[1]])].mean())
        trees[a, b] = trees.pop(a) + trees.pop(b)
    return next(iter(trees))


def orders(tree: Any) -> Iterator[list[int]]:
    """Every order of the leaves that the tree allows."""
    if not isinstance(tree, tuple):
        yield [tree]
        return
    for left in orders(tree[0]):
        for right in orders(tree[1]):
            yield left + right
            yield right + left


@pytest.mark.parametrize("seed", range(4))
def test_like_classes_stand_together(seed: int) -> None:
    alike = choice.likeness(np.random.default_rng(seed).normal(size=(6, 9)).astype(np.float32))

    def steps(order: list[int]) -> float:
        return sum(1 - float(alike[a, b]) for a, b in pairwise(order))

    allowed = list(orders(by_loops(1 - alike)))
    assert len(allowed) == 2**5
    found = choice.in_order(alike)
    assert found in allowed
    assert steps(found) == pytest.approx(min(map(steps, allowed)))


def test_groups_are_not_torn_apart() -> None:
    """As many classes as have no optimal order."""
    centres = np.random.default_rng(0).normal(size=(5, 30))
    group = np.random.default_rng(1).permutation(np.repeat(np.arange(5), 61))
    noise = np.random.default_rng(2).normal(size=(305, 30)) / 10
    found = choice.in_order(choice.likeness((centres[group] + noise).astype(np.float32)))
    assert sorted(found) == list(range(305))
    assert sum(group[a] != group[b] for a, b in pairwise(found)) == 4


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_classes_stay_as_they_are(n: int) -> None:
    assert choice.in_order(np.eye(n, dtype=np.float32)) == list(range(n))

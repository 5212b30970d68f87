"""Maps without magnitudes or places, and vectors in the space that they span."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from kdsspark.stats.accuracy import space
from kdsspark.stats.accuracy.space import binarised, coordinates, shuffled_places


def _keys(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << 63, (n, 2)).astype(np.uint64)


def test_binarised_is_one_above_zero() -> None:
    values = np.array([[-1.0, 0.0, -0.0, 1e-30, 5.0, np.nan]])
    assert binarised(values).tolist() == [[0, 0, 0, 1, 1, 0]]


def test_all_units_of_an_image_are_shuffled_alike_and_keep_their_values() -> None:
    maps = np.random.default_rng(0).normal(size=(5, 3, 49)).astype(np.float32)
    found = shuffled_places(maps, _keys(5), 0)
    np.testing.assert_array_equal(np.sort(found), np.sort(maps))
    for image in range(5):
        columns = {tuple(column) for column in maps[image].T}
        assert {tuple(column) for column in found[image].T} == columns
    orders = {tuple(np.argsort(found[i, 0])[np.argsort(np.argsort(maps[i, 0]))]) for i in range(5)}
    assert len(orders) == 5  # each image has an order of its own


def test_the_order_depends_on_the_id_and_the_seed_alone() -> None:
    maps = np.arange(2 * 4 * 30, dtype=np.float32).reshape(2, 4, 30)
    keys = _keys(2)
    found = shuffled_places(maps, keys, 3)
    np.testing.assert_array_equal(shuffled_places(maps[::-1], keys[::-1], 3), found[::-1])
    np.testing.assert_array_equal(shuffled_places(maps[1:], keys[1:], 3), found[1:])
    np.testing.assert_array_equal(shuffled_places(maps + 1, keys, 3), found + 1)
    assert (shuffled_places(maps, keys, 4) != found).any()
    other = keys ^ np.uint64(1)  # ids that differ in a bit
    assert (shuffled_places(maps, other, 3) != found).any()


def test_places_are_shuffled_evenly() -> None:
    """Each value lands on each of 9 places about equally often."""
    n = 9000
    maps = np.tile(np.arange(9, dtype=np.float32), (n, 1, 1))
    found = shuffled_places(maps, _keys(n), 0)[:, 0].astype(int)
    counts = np.stack([np.bincount(found[:, place], minlength=9) for place in range(9)])
    assert np.abs(counts - n / 9).max() < 5 * np.sqrt(n / 9)


@pytest.mark.parametrize("features", [3, 40, 9000])
def test_inner_products_stay(features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_FEATURES_AT_ONCE", 1000)
    vectors = np.random.default_rng(0).normal(size=(12, features)).astype(np.float32)
    found = coordinates(vectors)
    assert found.shape == (12, min(12, features))
    exact = vectors.astype(np.float64)
    np.testing.assert_allclose(found @ found.T, exact @ exact.T, rtol=1e-9, atol=1e-9)


def test_copies_and_zeros_span_less() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    assert coordinates(vectors[[0, 1, 1, 2, 3, 3]]).shape == (6, 4)
    assert coordinates(np.zeros((5, 50), np.float32)).shape == (5, 0)
    assert coordinates(np.zeros((0, 50), np.float32)).shape == (0, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearSVC(C=1.0, dual="auto", max_iter=20_000, tol=1e-8, random_state=0),
        lambda: LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000),
    ],
    ids=["svm", "softmax"],
)
def test_a_linear_machine_finds_the_same(make: object) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 3
    vectors = (rng.normal(size=(40, 2000)) + rng.normal(size=(3, 2000))[labels]) / 30
    few = coordinates(vectors)
    trained = np.arange(40) < 25
    scores = []
    for x in (vectors, few):
        machine = make()  # type: ignore[operator]
        machine.fit(x[trained], labels[trained])
        scores.append(machine.decision_function(x[~trained]))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)

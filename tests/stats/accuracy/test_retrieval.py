"""Average precision of nearest images against scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import normalize

from kdsspark.stats.accuracy import retrieval
from kdsspark.stats.accuracy.retrieval import chance_precisions, retrieval_precisions


def on_a_circle(*degrees: float) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])[:, None]


def test_it_is_what_scikit_learn_says_of_more_queries_than_a_block() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 150).astype(np.int32)
    x = normalize(rng.normal(size=(150, 7)) + rng.normal(size=(5, 7))[labels])
    x[::10] = 0  # vectors without a length, which are nearer than opposite ones
    queries = rng.permutation(150)[:90]
    found = retrieval_precisions(x[:, None], labels, queries)
    distances = np.round(euclidean_distances(x), 6)  # its zero vectors are equal, too
    for query, precision in zip(queries, found, strict=True):
        others = np.arange(150) != query
        relevant = labels[others] == labels[query]
        expected = average_precision_score(relevant, -distances[query][others])
        assert precision == pytest.approx(expected, rel=1e-9)


def test_of_windows_the_nearest_two_count() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, 40).astype(np.int32)
    x = rng.normal(size=(40, 6, 3))
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    x[::7, 2] = 0  # a window without a length, of queries and of others
    queries = rng.permutation(40)[:25]
    found = retrieval_precisions(x, labels, queries)
    for query, precision in zip(queries, found, strict=True):
        others = [i for i in range(40) if i != query]
        distances = [
            min(round(np.linalg.norm(a - b), 6) for a in x[query] for b in x[other])
            for other in others
        ]
        expected = average_precision_score(labels[others] == labels[query], np.negative(distances))
        assert precision == pytest.approx(expected, rel=1e-9)


def test_many_images_take_blocks_of_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    x, labels = rng.normal(size=(20, 3, 2)), rng.integers(0, 2, 20).astype(np.int32)
    found = retrieval_precisions(x, labels, np.arange(20))
    monkeypatch.setattr(retrieval, "_PRODUCTS_AT_ONCE", 7 * 20 * 9)
    np.testing.assert_array_equal(retrieval_precisions(x, labels, np.arange(20)), found)


def test_by_hand() -> None:
    x = on_a_circle(0, 10, 20, 30, 40)
    labels = np.array([0, 1, 0, 1, 0], np.int32)
    # From the first, the others are of class 1, 0, 1, 0. From the second, two of class 0 are 10
    # degrees away, one of class 1 is 20 degrees away, and one of class 0 30 degrees.
    found = retrieval_precisions(x, labels, np.array([0, 1]))
    assert found.tolist() == pytest.approx([(1 / 2 + 2 / 4) / 2, 1 / 3])
    assert found.mean() == pytest.approx(5 / 12)


def test_classes_apart_are_retrieved_perfectly() -> None:
    x = on_a_circle(0, 1, 2, 90, 91, 92, 93)
    labels = np.array([0, 0, 0, 1, 1, 1, 1], np.int32)
    assert retrieval_precisions(x, labels, np.arange(7)).tolist() == [1.0] * 7


@pytest.mark.parametrize("x", [np.zeros((30, 4)), np.full((30, 3), 3**-0.5), np.empty((30, 0))])
def test_equal_vectors_are_retrieved_by_chance(x: np.ndarray) -> None:
    labels = np.repeat([0, 1, 2], [15, 10, 5]).astype(np.int32)
    queries = np.arange(0, 30, 3)
    chance = chance_precisions(labels, queries)
    assert chance.tolist() == pytest.approx([14 / 29] * 5 + [9 / 29] * 4 + [4 / 29])
    np.testing.assert_allclose(retrieval_precisions(x[:, None], labels, queries), chance)


def test_an_image_alone_has_nothing_to_retrieve() -> None:
    labels = np.array([0, 1, 1], np.int32)
    found = retrieval_precisions(on_a_circle(0, 10, 20), labels, np.arange(3))
    assert np.isnan(found[0])
    assert found[1:].tolist() == [0.5, 1.0]
    assert chance_precisions(np.array([0], np.int32), np.array([0])).tolist() == [0]

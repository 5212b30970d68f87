"""Average precision and curves against scikit-learn, with ties and values that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from kdsspark.stats.accuracy.precision import average_precisions, precision_at


def awkward(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n).astype(np.int32)
    columns = [
        rng.normal(size=n) + labels,
        rng.integers(0, 3, n).astype(float),  # ties
        np.zeros(n),
        np.where(rng.random(n) < 0.7, 0, rng.exponential(size=n)),
        (labels == 2).astype(float),  # perfect
    ]
    return np.stack(columns, 1).astype(np.float32), labels


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_scikit_learn_says(seed: int) -> None:
    values, labels = awkward(seed)
    found = average_precisions(values, labels, 5)
    assert found.shape == (5, 5)
    for feature in range(5):
        for c in range(4):
            expected = average_precision_score(labels == c, values[:, feature])
            assert found[feature, c] == pytest.approx(expected, rel=1e-12), (feature, c)
    assert found[4, 2] == 1
    assert np.isnan(found[:, 4]).all()  # no image


def test_values_that_are_not_finite_are_below_all() -> None:
    values = np.array([[np.nan, 1.0], [3.0, np.inf], [-9.0, 0.0], [np.nan, -np.inf]])
    labels = np.array([0, 1, 1, 0], np.int32)
    low = np.where(np.isfinite(values), values, -1e9)
    found = average_precisions(values, labels, 2)
    for feature in range(2):
        expected = [average_precision_score(labels == c, low[:, feature]) for c in range(2)]
        assert found[feature].tolist() == pytest.approx(expected)
    curve = precision_at(np.array([np.nan, 2, np.nan]), np.array([True, False, False]), np.ones(1))
    assert curve.tolist() == pytest.approx([1 / 3])  # both without a value are called together


@pytest.mark.parametrize("feature", range(5))
@pytest.mark.parametrize("c", range(4))
def test_curves_are_the_best_precision_at_a_recall_or_more(feature: int, c: int) -> None:
    values, labels = awkward(7)
    recalls = np.linspace(0, 1, 21)
    found = precision_at(values[:, feature], labels == c, recalls)
    precision, recall, _ = precision_recall_curve(labels == c, values[:, feature])
    inside = precision[:-1], recall[:-1]  # the last point is scikit-learn's, of no threshold
    expected = [inside[0][inside[1] >= r - 1e-9].max() for r in recalls]
    assert found.tolist() == pytest.approx(expected)


def test_no_positive_image_has_no_curve() -> None:
    assert np.isnan(precision_at(np.arange(3.0), np.zeros(3, bool), np.array([0, 1.0]))).all()

"""The area under the entropy curve against scipy, value by value, and cases known by heart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from kdsspark.stats.entropy import area_under_entropy


def plain(values: np.ndarray, labels: np.ndarray, n_classes: int, bins: int) -> float:
    """The definition: thresholds at the lower edges, entropy of what is not below."""
    _, edges = np.histogram(values, bins)
    inside = np.minimum(np.searchsorted(edges, values, side="right") - 1, bins - 1)
    curve = [
        entropy(np.bincount(labels[inside >= b], minlength=n_classes)) / np.log(n_classes)
        for b in range(bins)
    ]
    return float(np.mean(curve))


def counts_of(values: np.ndarray, labels: np.ndarray, n_classes: int, bins: int) -> np.ndarray:
    span = (values.min(), values.max())
    own = [np.histogram(values[labels == c], bins, span)[0] for c in range(n_classes)]
    return np.array([own])


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_mean_of_the_entropies_above_each_bin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 300)
    values = rng.exponential(1 + labels)
    (found,) = area_under_entropy(counts_of(values, labels, 5, 100))
    assert found == pytest.approx(plain(values, labels, 5, 100), rel=1e-12)


KNOWN = {
    "one class fills every bin": ([[4, 0, 3], [0, 0, 0]], 0.0),
    "both classes alike in every bin": ([[2, 5, 1], [2, 5, 1]], 1.0),
    "selective from the second bin on": ([[2, 1, 1], [4, 0, 0]], 1 / 3),
    "constant: only the first bin has values": ([[3, 0, 0], [3, 0, 0]], 1.0),
    "no value": ([[0, 0, 0], [0, 0, 0]], np.nan),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_areas(name: str) -> None:
    counts, expected = KNOWN[name]
    found = area_under_entropy(np.array([counts]))
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_a_single_class_has_none() -> None:
    assert np.isnan(area_under_entropy(np.array([[[1, 2]], [[3, 4]]]))).all()

from __future__ import annotations

import math
from dataclasses import astuple
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score

from kdsspark.stats.ks import exact_ks
from kdsspark.stats.ranks import Comparison, compare_classes

Floats = np.ndarray[Any, Any]


def check(values: Floats, labels: Floats, n_classes: int) -> None:
    """Hold every feature and class against numpy, scipy and scikit-learn."""
    ks, found = compare_classes(values, labels, n_classes)
    assert ks.tobytes() == exact_ks(values, labels, n_classes).tobytes()
    for unit, label in np.ndindex(len(values), n_classes):
        row = values[unit].astype(np.float64)
        finite, of_class = np.isfinite(row), labels[0] == label
        inner, outer = row[finite & of_class], row[finite & ~of_class]
        got = [column[unit, label] for column in astuple(found)]
        if not inner.size or not outer.size:
            assert np.isnan(got).all()
            continue
        auc, p, difference, nonzero_inner, nonzero_outer = got
        assert auc == pytest.approx(roc_auc_score(of_class[finite], row[finite]), abs=1e-12)
        tested = stats.mannwhitneyu(inner, outer, method="asymptotic")
        assert round(auc * 2 * inner.size * outer.size) / 2 == tested.statistic
        assert p == pytest.approx(tested.pvalue, rel=1e-9)
        scale = np.abs(row[finite]).max()
        assert difference == pytest.approx(inner.mean() - outer.mean(), abs=1e-12 * scale)
        assert nonzero_inner == np.mean(inner != 0)
        assert nonzero_outer == np.mean(outer != 0)


KINDS = {
    "normal": lambda x: x,
    "half are zero, the lowest": lambda x: np.maximum(x, 0),
    "most are zero, in the middle": lambda x: np.where(np.abs(x) < 1.5, 0, x),
    "whole numbers": np.round,
    "never zero": lambda x: np.abs(x) + 1,
    "zero is the highest": lambda x: np.minimum(x, 0),
    "one apart": lambda x: (np.arange(x.shape[1]) == 7) * np.ones_like(x),
    "some are not finite": lambda x: np.where(x > 1, np.nan, np.where(x < -1, -np.inf, x)),
    "very different sizes": lambda x: x * 10.0 ** (8 * x),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_comparisons_are_those_of_scipy_and_scikit_learn(kind: Any, dtype: type) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, (2, 700)).astype(np.int32)
    x = rng.normal(size=(3, 700))
    x[1:, labels[0] == 3] += 0.9
    check(kind(x).astype(dtype), labels, 10)  # the last class is empty


AWKWARD = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, 1e-45, -1e-45, np.nan, np.inf, -np.inf])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60)
@given(arrays(np.float64, (2, 9), elements=AWKWARD), st.integers(0, 2), st.integers(1, 3))
def test_small_and_awkward_inputs(dtype: type, values: Floats, first: int, step: int) -> None:
    check(values.astype(dtype), (first + np.arange(9, dtype=np.int32)[None] // step) % 3, 3)


def test_a_constant_feature_has_no_difference_for_certain() -> None:
    found = compare_classes(np.full((1, 5), 3.0), np.array([[0, 0, 1, 1, 1]], np.int32), 2)[1]
    rows = [column[0].tolist() for column in astuple(found)]
    assert rows == [[0.5, 0.5], [1, 1], [0, 0], [1, 1], [1, 1]]


def test_separated_classes_have_the_smallest_p_value_that_scipy_gives() -> None:
    values = np.arange(4000, dtype=np.float32)[None]
    labels = (values >= 2000).astype(np.int32)
    found = compare_classes(values, labels, 2)[1]
    expected = stats.mannwhitneyu(values[:, 2000:].ravel(), values[:, :2000].ravel())
    assert found.auc.tolist() == [[0, 1]]
    assert found.p_auc == pytest.approx(expected.pvalue, rel=1e-9, abs=0)
    assert found.mean_difference.tolist() == [[-2000, 2000]]


def test_long_runs_of_equal_values() -> None:
    # 3,000,000 cubed does not fit into 64 bits, and scipy overflows.
    size = 3_000_000
    values = np.repeat(np.array([[0, 1, 2]], np.float32), [5, size, 7], axis=1)
    labels = (np.arange(values.size)[None] % 3 == 0).astype(np.int32)
    found = compare_classes(values, labels, 2)[1]
    n, inner = values.size, int(labels.sum())
    ties = sum(Fraction(t**3 - t) for t in (5, size, 7)) / (n * (n - 1))
    variance = Fraction(inner * (n - inner), 12) * (n + 1 - ties)
    row = values.astype(np.float64)  # or scipy computes in single precision
    u = stats.mannwhitneyu(row[labels == 1], row[labels == 0]).statistic
    apart = (abs(u - inner * (n - inner) / 2) - 0.5) / math.sqrt(variance)
    assert found.p_auc[0, 1] == pytest.approx(2 * stats.norm.sf(apart), rel=1e-6)


def test_the_order_of_images_and_the_other_features_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(3, 5000)).astype(np.float32)
    values[1] = np.maximum(values[1], 0)
    labels = rng.integers(0, 5, (3, 5000)).astype(np.int32)
    order = rng.permutation(5000)
    expected = compare_classes(values, labels, 5)[1]
    moved = compare_classes(values[:, order], labels[:, order], 5)[1]
    assert bits(moved) == bits(expected)
    alone = [compare_classes(values[[unit]], labels[:1], 5)[1] for unit in range(3)]
    assert [b"".join(column) for column in zip(*map(bits, alone), strict=True)] == bits(expected)


def bits(found: Comparison) -> list[bytes]:
    return [column.tobytes() for column in astuple(found)]


def test_wrong_arguments_are_refused() -> None:
    values = np.zeros((1, 3), np.float32)
    with pytest.raises(ValueError, match=r"labels must be \[labelings, 3\], got shape \(3,\)"):
        compare_classes(values, np.zeros(3, np.int32), 2)
    with pytest.raises(ValueError, match="at least one labeling, got none"):
        compare_classes(values, np.zeros((0, 3), np.int32), 2)
    with pytest.raises(TypeError, match="float32 or float64, got float16"):
        compare_classes(values.astype(np.float16), np.zeros((1, 3), np.int32), 2)

"""Exact distances and comparisons of classes that overlap, against scipy and scikit-learn."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score

from kdsspark.stats.ranks import compare_classes
from kdsspark.stats.several.comparing import compare_sets, exact_ks_of_sets
from tests import reference
from tests.stats.several.test_label_sets import drawn, sets_of
from tests.stats.test_ranks import AWKWARD, KINDS

Array = np.ndarray[Any, Any]


def check(values: Array, member: Array, other: Array) -> None:
    """Hold every feature and class against the rest; ``other`` is a second labeling."""
    both = np.concatenate([member, other])
    sets, labels = sets_of(both)
    labelings = labels.reshape(2, -1)
    ks, found = compare_sets(values, labelings, sets)
    assert ks.tobytes() == exact_ks_of_sets(values, labelings, sets).tobytes()
    for labeling, unit, label in np.ndindex(ks.shape):
        row = values[unit].astype(np.float64)
        of_class = (member, other)[labeling][:, label]
        inner, outer = row[of_class], row[~of_class]
        expected, got = reference.exact_ks(inner, outer), ks[labeling, unit, label]
        assert (np.nan if expected is None else expected) == pytest.approx(got, nan_ok=True)
        if labeling == 0:
            compare(row, of_class, [column[unit, label] for column in astuple(found)])


def compare(row: Array, of_class: Array, got: list[float]) -> None:
    finite = np.isfinite(row)
    inner, outer = row[finite & of_class], row[finite & ~of_class]
    if not inner.size or not outer.size:
        assert np.isnan(got).all()
        return
    auc, p, difference, nonzero_inner, nonzero_outer = got
    assert auc == pytest.approx(roc_auc_score(of_class[finite], row[finite]), abs=1e-12)
    tested = stats.mannwhitneyu(inner, outer, method="asymptotic")
    assert round(auc * 2 * inner.size * outer.size) / 2 == tested.statistic
    assert p == pytest.approx(tested.pvalue, rel=1e-9)
    scale = np.abs(row[finite]).max()
    assert difference == pytest.approx(inner.mean() - outer.mean(), abs=1e-12 * scale)
    assert nonzero_inner == np.mean(inner != 0)
    assert nonzero_outer == np.mean(outer != 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_each_class_is_compared_with_all_images_without_it(kind: Any, dtype: type) -> None:
    member = drawn(120, 4, 0.3)
    x = np.random.default_rng(0).normal(size=(3, 120))
    x[1:, member[:, 1]] += 0.9
    check(kind(x).astype(dtype), member, drawn(120, 4, 0.6, seed=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60)
@given(arrays(np.float64, (2, 8), elements=AWKWARD), arrays(np.bool_, (2, 8, 3)))
def test_small_and_awkward_inputs(dtype: type, values: Array, members: Array) -> None:
    check(values.astype(dtype), *members)


def test_one_label_an_image_is_a_case_of_several() -> None:
    rng = np.random.default_rng(4)
    values = np.maximum(rng.normal(size=(6, 300)), 0).astype(np.float32)
    labels = rng.integers(0, 5, (2, 300)).astype(np.int32)
    sets, numbers = sets_of(np.eye(5, dtype=bool)[labels.ravel()])
    got, got_more = compare_sets(values, numbers.reshape(2, -1), sets)
    expected, more = compare_classes(values, labels, 5)
    assert got.tobytes() == expected.tobytes()
    for name, column in vars(more).items():
        np.testing.assert_allclose(getattr(got_more, name), column, rtol=1e-12, atol=1e-15)

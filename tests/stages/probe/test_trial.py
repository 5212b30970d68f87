"""Accuracies of what folds counted, by plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, t

from kdsspark.stages.probe.trial import Fitted, TrialResult, interval, with_nulls

N_TEST = np.array([[4, 6, 0], [4, 6, 0]])
CORRECT = np.array([[1, 6, 0], [3, 3, 0]])


def result(**changes: object) -> TrialResult:
    fits = (Fitted(None, "LinearSVC", True, 0.1), Fitted(None, "SGD", False, 10.0))  # type: ignore[arg-type]
    given = {"n_train": N_TEST + 5, "n_test": N_TEST, "correct": CORRECT, "fits": fits}
    return TrialResult(**(given | changes))  # type: ignore[arg-type]


def test_accuracies_are_of_all_images_then_of_each_class() -> None:
    nan = np.nan
    expected = [[7 / 10, 1 / 4, 1, nan], [6 / 10, 3 / 4, 1 / 2, nan]]
    np.testing.assert_array_equal(result().accuracies(), expected)


def test_the_mean_of_classes_leaves_out_those_without_a_test() -> None:
    np.testing.assert_allclose(result().means_of_classes(), [5 / 8, 5 / 8])
    none = result(n_test=0 * N_TEST, correct=0 * CORRECT)
    assert np.isnan(none.means_of_classes()).all()
    assert np.isnan(none.accuracies()).all()


def test_one_fold_that_did_not_converge_is_told() -> None:
    assert (result().method, result().converged, result().c) == ("LinearSVC", False, 5.05)
    assert result(fits=result().fits[:1]).converged


def test_a_single_fold_has_wilsons_interval_and_several_students() -> None:
    low, high = interval(np.array([0.7]), np.array([10]))
    ends = binomtest(7, 10).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((ends.low, ends.high))
    values = np.array([0.7, 0.6, 0.8])
    low, high = interval(values, np.array([10, 10, 10]))
    ends_of = t.interval(0.95, 2, values.mean(), values.std(ddof=1) / np.sqrt(3))
    assert (low, high) == pytest.approx(ends_of)


def test_columns_have_null_for_what_is_not_known() -> None:
    found = result().columns(result().accuracies()[:, 3])
    assert found["accuracy"] is found["low"] is found["high"] is None
    assert (found["n_train"], found["n_test"], found["folds"]) == (25, 10, 2)
    assert with_nulls(a=np.float64(1), b=np.nan) == {"a": 1.0, "b": None}

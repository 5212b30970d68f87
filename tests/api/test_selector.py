"""The selector of scikit-learn: its own checks, the three ways to choose, and no leak of labels."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import kdsspark
from kdsspark import KSSelector
from tests.marks import all_but

N = 240
Y = np.arange(N) % 12  # ten comes before two as text


def _values() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N, 9))
    values[:, 2] += 3 * (Y == 2)
    values[:, 5] -= 3 * (Y == 11)
    values[:, 7] = 1
    return values


X = _values()


@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
@parametrize_with_checks([KSSelector()])
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
@parametrize_with_checks([KSSelector("q"), KSSelector("best", best=1)])
def test_the_checks_of_scikit_learn_of_the_other_ways(estimator: Any, check: Any) -> None:
    check(estimator)


def _ks() -> np.ndarray[Any, Any]:
    """[units, classes], by the raw values; ``ks_`` is by a hundred bins."""
    sign_and_size = (
        stats.ks_2samp(x[c == Y], x[c != Y], method="asymp") for x in X.T for c in range(12)
    )
    signed = [-test.statistic * test.statistic_sign for test in sign_and_size]
    return np.array(signed).reshape(9, 12)


def test_ks_is_in_the_order_of_the_classes() -> None:
    fitted = KSSelector().fit(X, Y)
    assert fitted.classes_.tolist() == list(range(12))
    np.testing.assert_allclose(np.abs(fitted.ks_), np.abs(_ks()), atol=0.06)
    assert fitted.ks_.argmax() == 2 * 12 + 2
    assert fitted.ks_.argmin() == 5 * 12 + 11


MEMBER = np.stack([Y % 2 == 0, Y == 11, Y % 3 == 0], axis=1)
"""Three classes that overlap; 80 images are in none of them."""


@pytest.mark.parametrize("kind", [np.asarray, np.int64, scipy.sparse.csr_matrix, pd.DataFrame])
@pytest.mark.parametrize("by", all_but(["best"], ["threshold", "q", "best"]))
def test_of_several_labels_each_class_is_held_against_the_rest(kind: Any, by: str) -> None:
    fitted = KSSelector(by, best=1).fit(X, kind(MEMBER))
    assert fitted.classes_.tolist() == [0, 1, 2]
    for c, member in enumerate(MEMBER.T):
        alone = KSSelector(by, best=1).fit(X, member)
        np.testing.assert_array_equal(fitted.ks_[:, c], alone.ks_[:, 1])
    if by == "best":
        best = {int(np.abs(fitted.ks_[:, c]).argmax()) for c in range(3)}
        assert set(fitted.get_support(indices=True)) == best
    assert fitted.support_[5]  # lower for the second class


def test_by_the_thresholds_of_shuffled_labels() -> None:
    fitted = KSSelector(shuffles=20).fit(X, Y)
    row = kdsspark.measure(X, Y, shuffles=20).thresholds.iloc[0]
    assert (fitted.t_plus_, fitted.t_minus_) == (row["t_plus"], row["t_minus"])
    beyond = (fitted.ks_ > row["t_plus"]) | (fitted.ks_ < row["t_minus"])
    assert fitted.support_.tolist() == beyond.any(axis=1).tolist()
    assert fitted.support_[[2, 5]].all()
    assert not fitted.support_[7]


def test_by_a_threshold_of_ones_own() -> None:
    assert KSSelector(threshold=0.7).fit(X, Y).get_support(indices=True).tolist() == [2, 5]


def test_by_false_discovery_rate() -> None:
    p = [
        stats.ks_2samp(x[c == Y], x[c != Y], method="exact").pvalue for x in X.T for c in range(12)
    ]
    q = stats.false_discovery_control(p).reshape(9, 12)
    for limit in (0.01, 0.9):
        found = KSSelector("q", q=limit).fit(X, Y).support_
        assert found.tolist() == (q < limit).any(axis=1).tolist()
        assert 0 < found.sum() < 9


def test_the_best_of_each_class() -> None:
    fitted = KSSelector("best", best=1).fit(X[:, :6], Y)
    best = {int(np.abs(fitted.ks_[:, c]).argmax()) for c in range(12)}
    assert set(fitted.get_support(indices=True)) == best
    assert KSSelector("best", best=99).fit(X, Y).support_.all()


def test_among_equal_units_the_first_is_the_best() -> None:
    twice = np.column_stack([X[:, 2], X[:, 5], X[:, 2], X[:, 5]])
    assert KSSelector("best", best=1).fit(twice, Y).get_support().tolist() == [1, 1, 0, 0]


def test_a_unit_without_finite_values_is_never_the_best() -> None:
    values = np.column_stack([X[:, 2], np.full(N, np.nan)])
    assert KSSelector("best", best=2).fit(values, Y).support_.tolist() == [True, False]


def test_names_and_sparse_values() -> None:
    frame = pd.DataFrame(X).add_prefix("unit ")
    selector = KSSelector(threshold=0.7).set_output(transform="pandas")
    assert list(selector.fit_transform(frame, Y)) == ["unit 2", "unit 5"]
    sparse = KSSelector(threshold=0.7).fit(scipy.sparse.csr_matrix(X), Y)
    assert sparse.ks_.tolist() == selector.ks_.tolist()
    assert sparse.transform(scipy.sparse.csr_matrix(X)).shape == (N, 2)


def test_in_a_pipeline_the_labels_of_test_images_do_not_leak() -> None:
    """Labels that mean nothing are only told well if the test images' helped to choose units."""
    rng = np.random.default_rng(1)
    noise, labels = rng.normal(size=(60, 1000)), rng.integers(0, 2, 60)
    selector, classifier = KSSelector("best", best=20), LogisticRegression()
    honest = cross_val_score(make_pipeline(selector, classifier), noise, labels, cv=5).mean()
    leaked = cross_val_score(classifier, selector.fit_transform(noise, labels), labels, cv=5).mean()
    assert honest < 0.65
    assert leaked > 0.85


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "ks"}, "by must be one of threshold, q, best, got 'ks'"),
        ({"threshold": 1.5}, "threshold must be None or from 0 to 1, got 1.5"),
        ({"q": 0}, "q must be above 0 and at most 1, got 0"),
        ({"best": 0}, "best must be at least 1, got 0"),
        ({"bins": 1}, "bins: must be greater than or equal to 2, got 1"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KSSelector(**settings).fit(X, Y)


def test_without_scikit_learn_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import kdsspark\n"
        "try: kdsspark.KSSelector\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'kdsspark[sklearn]'" in done.stdout
    assert done.stdout.count("\n") == 1

"""The classifiers against scikit-learn called plainly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsOneClassifier
from sklearn.svm import SVC, LinearSVC

from kdsspark.errors import KdssparkError
from kdsspark.stages.probe import classifier
from kdsspark.stages.probe.classifier import (
    Labels,
    Majority,
    PairVotes,
    Vectors,
    fit_at_once,
    fit_streaming,
    passes_over,
)


def examples(n: int = 90) -> tuple[Vectors, Labels]:
    """Three classes that overlap, in five features."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.arange(n) % 3).astype(np.int32)
    return rng.normal(size=(n, 5)) + 0.8 * np.eye(5)[labels], labels


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_at_once_it_is_linear_svc(c: float) -> None:
    vectors, labels = examples()
    model, converged = fit_at_once(vectors, labels, c)
    plain = LinearSVC(C=c, dual="auto", max_iter=2000, random_state=0).fit(vectors, labels)
    assert converged
    fresh = examples(300)[0]
    assert model.predict(fresh).tolist() == plain.predict(fresh).tolist()
    assert (model.predict(vectors) == labels).mean() > 0.55


def test_what_does_not_converge_is_told_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_MOST_ITERATIONS", 1)
    vectors, labels = examples()
    model, converged = fit_at_once(1e4 * vectors[:, :2], labels, 100.0)
    assert converged is False
    assert set(model.predict(vectors[:, :2])) <= {0, 1, 2}


def of_pairs(vectors: Vectors, labels: Labels, c: float) -> Any:
    machine = LinearSVC(C=c, dual="auto", max_iter=2000, random_state=0)
    return OneVsOneClassifier(machine).fit(vectors, labels)


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_pairs_vote_as_in_scikit_learn_and_of_equal_votes_the_first_wins(c: float) -> None:
    vectors, labels = examples()
    labels = np.array([2, 5, 9], np.int32)[np.roll(labels, 1)]  # hard to tell, so votes are tied
    plain, fresh = of_pairs(vectors, labels, c), examples(600)[0]
    votes = np.zeros((600, 3), int)
    for (i, j), machine in zip(((0, 1), (0, 2), (1, 2)), plain.estimators_, strict=True):
        for image, winner in enumerate(machine.predict(fresh)):
            votes[image, j if winner else i] += 1
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    found = PairVotes(vectors, labels, c).predict(fresh)
    assert 0 < tied.sum() < 60
    assert (found[tied] == 2).all()  # all three classes have one vote
    assert found[~tied].tolist() == plain.predict(fresh)[~tied].tolist()
    against_rest = fit_at_once(vectors, labels, c)[0].predict(fresh)
    assert (found != against_rest).any()


def test_pairs_of_classes_far_apart_are_told_as_by_libsvm() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120, dtype=np.int32) % 6
    vectors = 6 * np.eye(6)[labels] + rng.normal(size=(120, 6))
    fresh = 6 * np.eye(6)[labels] + rng.normal(size=(120, 6))
    expected = SVC(kernel="linear").fit(vectors, labels).predict(fresh)
    assert PairVotes(vectors, labels, 1.0).predict(fresh).tolist() == expected.tolist()


def test_of_two_classes_pairs_are_one_machine() -> None:
    vectors, labels = examples()
    labels = np.minimum(labels, 1)
    plain = LinearSVC(dual="auto", max_iter=2000, random_state=0).fit(vectors, labels)
    found = PairVotes(vectors, labels, 1.0).predict(vectors)
    assert found.tolist() == plain.predict(vectors).tolist()


def test_one_pair_that_does_not_converge_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = examples()
    votes = PairVotes(vectors, labels, 1.0)
    votes.predict(vectors)
    assert votes.converged is True
    hard = PairVotes(1e4 * vectors[:, :2], labels, 100.0)
    monkeypatch.setattr(classifier, "_MOST_ITERATIONS", 1)
    assert set(hard.predict(vectors[:, :2])) <= {0, 1, 2}
    assert hard.converged is False


def test_streaming_is_sgd_pass_by_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_FEWEST_STEPS", 1200)  # 14 passes over 90 images
    vectors, labels = examples()
    asked: list[int] = []

    def batches(number: int) -> Iterator[tuple[Vectors, Labels]]:
        asked.append(number)
        for rows in np.array_split(np.random.default_rng(number).permutation(90), 4):
            yield vectors[rows], labels[rows]

    model: Any = fit_streaming(batches, labels, c=0.5)
    assert asked == list(range(14))
    plain = SGDClassifier(loss="hinge", alpha=1 / (0.5 * 90), average=90, random_state=0)
    for number in range(14):
        for rows in np.array_split(np.random.default_rng(number).permutation(90), 4):
            plain.partial_fit(vectors[rows], labels[rows], classes=[0, 1, 2])
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    np.testing.assert_array_equal(model.intercept_, plain.intercept_)
    at_once, _ = fit_at_once(vectors, labels, 0.5)
    assert (model.predict(vectors) == at_once.predict(vectors)).mean() > 0.8


def test_few_images_are_seen_more_often() -> None:
    assert [passes_over(n) for n in (1, 150, 2000, 10**8)] == [20_000, 134, 10, 10]


@pytest.mark.parametrize(("labels", "expected"), [([2, 2, 0], 2), ([3, 1, 1, 3], 1), ([7], 7)])
def test_the_majority_is_the_first_of_the_largest_classes(labels: list[int], expected: int) -> None:
    model = Majority.of(np.array(labels, np.int32))
    assert model.predict(np.zeros((4, 0))).tolist() == [expected] * 4


FITS: list[Callable[..., Any]] = [
    lambda: fit_at_once(*examples(), 1.0),
    lambda: fit_streaming(lambda _: [examples()], examples()[1], 1.0),
]


@pytest.mark.parametrize("fit", FITS)
def test_without_scikit_learn_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, fit: Callable[..., Any]
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # which Python takes for not installed
    with pytest.raises(KdssparkError, match=r"sklearn.*; pip install 'kdsspark\[probe\]'"):
        fit()

"""Classifiers: linear support vector machines, softmax, nearest neighbours (executor).

If the images fit in memory, ``LinearSVC`` (one class against the rest, or one for each pair of
classes) or ``LogisticRegression`` fits them at once. If not, ``SGDClassifier`` minimises the hinge
or the logistic loss, one class against the rest, over one row group after the other. Spark ML has
linear classifiers as well, but would copy the embeddings into the JVM.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from kdsspark.errors import KdssparkError

_FEWEST_PASSES: Final = 10
_FEWEST_STEPS: Final = 20_000  # images seen; ten passes over few images are not enough

_MOST_ITERATIONS: Final = 2000
_RANDOM_STATE: Final = 0

METHODS: Final = {
    "svm": "LinearSVC",
    "svm_pairs": "LinearSVC pairs",
    "softmax": "LogisticRegression",
    "knn": "neighbours",
}
"""``probe.classifier`` -> the method of images that fit in memory, of all images for knn."""

NEIGHBOURS: Final = 20
_TEMPERATURE: Final = 0.07

Vectors = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]
Pass = Callable[[int], Iterable[tuple[Vectors, Labels]]]
"""Number of the pass -> batches of the images to train with."""


class Classifier(Protocol):
    """A fitted model."""

    def predict(self, vectors: Vectors, /) -> npt.NDArray[Any]:
        """The class of each image, from ``vectors`` [images, features]."""


class Linear(Classifier, Protocol):
    """A fitted linear model."""

    coef_: npt.NDArray[np.float64]  # [classes or, of two classes, 1; features]

    def decision_function(self, vectors: Vectors, /) -> npt.NDArray[np.float64]:
        """The score of each image: [images], for the second class, where there are two."""


@dataclass(frozen=True)
class Majority:
    """Always answers the class with most images, for want of anything to learn from."""

    class_id: int

    @staticmethod
    def of(labels: Labels) -> Majority:
        """The model of the labels to train with [images]; of equal classes it takes the first."""
        return Majority(int(np.bincount(labels).argmax()))

    def predict(self, vectors: Vectors, /) -> npt.NDArray[Any]:
        """The same class for each of ``vectors`` [images, features]."""
        return np.full(len(vectors), self.class_id)


@dataclass(frozen=True)
class Neighbours:
    """The votes of the most similar images, by DINOv2's protocol (Oquab et al. 2023).

    ``batches`` gives the images to train with. The 20 of the highest cosine similarity s vote for
    their classes with the weight exp(s / 0.07).
    """

    batches: Callable[[], Iterable[tuple[Vectors, Labels]]]
    n_classes: int

    def predict(self, vectors: Vectors, /) -> npt.NDArray[Any]:
        """The class of each of ``vectors`` [images, features]; of equal votes the first class."""
        unit = _unit(vectors)
        likeness: npt.NDArray[np.float64] = np.empty((len(unit), 0))
        labels: npt.NDArray[np.int32] = np.empty((len(unit), 0), np.int32)
        for known, own in self.batches():
            likeness = np.concatenate([likeness, unit @ _unit(known).T], axis=1)
            labels = np.concatenate([labels, np.broadcast_to(own, (len(unit), len(own)))], axis=1)
            best = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]
            likeness = np.take_along_axis(likeness, best, 1)
            labels = np.take_along_axis(labels, best, 1)
        votes = np.zeros((len(unit), self.n_classes))
        rows = np.broadcast_to(np.arange(len(unit))[:, None], labels.shape)
        np.add.at(votes, (rows, labels), np.exp(likeness / _TEMPERATURE))
        winners: npt.NDArray[np.int64] = votes.argmax(axis=1)
        return winners


@dataclass(eq=False)
class PairVotes:
    """The votes of one linear machine for each pair of classes (Azizpour et al. 2014, section 5).

    ``vectors`` [images, features] and ``labels`` [images] are those to train with. The machines are
    fitted when they vote, each to the images of its two classes, and are not kept: weights of all
    pairs of many classes would take more memory than the images.
    """

    vectors: Vectors
    labels: Labels
    c: float
    converged: bool = True  # whether every machine that has voted did

    def predict(self, vectors: Vectors, /) -> npt.NDArray[Any]:
        """The class of each of ``vectors`` [images, features]; of equal votes the first class."""
        classes, own = np.unique(self.labels, return_inverse=True)
        votes = np.zeros((len(vectors), len(classes)), np.int32)
        for first, second in combinations(range(len(classes)), 2):
            two = (own == first) | (own == second)
            model, converged = fit_at_once(self.vectors[two], self.labels[two], self.c)
            self.converged &= converged
            for_second = model.decision_function(vectors) > 0
            votes[:, first] += ~for_second
            votes[:, second] += for_second
        winners: npt.NDArray[np.int32] = classes[votes.argmax(axis=1)]
        return winners


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.where(length > 0, length, 1)
    return unit


def fit_at_once(
    vectors: Vectors, labels: Labels, c: float, kind: str = "svm"
) -> tuple[Linear, bool]:
    """Fit svm or softmax, by ``kind``, to ``vectors`` [images, features]; also if it converged.

    Raises :class:`KdssparkError` if scikit-learn is missing.
    """
    require_sklearn()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if kind == "svm":
        model = LinearSVC(C=c, dual="auto", max_iter=_MOST_ITERATIONS, random_state=_RANDOM_STATE)
    else:
        model = LogisticRegression(C=c, max_iter=_MOST_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the result says so instead
        model.fit(vectors, labels)
    return model, bool(np.max(model.n_iter_) < _MOST_ITERATIONS)


def passes_over(n_images: int) -> int:
    """The number of times that ``SGDClassifier`` sees each image to train with."""
    return max(_FEWEST_PASSES, -(-_FEWEST_STEPS // n_images))


def fit_streaming(batches: Pass, labels: Labels, c: float, kind: str = "svm") -> Classifier:
    """Fit ``SGDClassifier`` pass by pass; ``labels`` [images] are those of one whole pass.

    ``kind`` softmax has the logistic loss, the others the hinge loss. ``c`` means what it means in
    ``LinearSVC``: the penalty is 1 / (c x images). Weights are
    averaged from the second pass on. Raises :class:`KdssparkError` if scikit-learn is missing.
    """
    require_sklearn()
    from sklearn.linear_model import SGDClassifier

    n = len(labels)
    loss = "log_loss" if kind == "softmax" else "hinge"
    model = SGDClassifier(loss=loss, alpha=1 / (c * n), average=n, random_state=_RANDOM_STATE)
    classes = np.unique(labels)
    for number in range(passes_over(n)):
        for vectors, some in batches(number):
            model.partial_fit(vectors, some, classes)
    fitted: Classifier = model
    return fitted


def require_sklearn() -> None:
    """Raises :class:`KdssparkError` if scikit-learn is missing (executor)."""
    try:
        import sklearn  # noqa: F401
    except ImportError as missing:
        raise KdssparkError(
            f"probe: scikit-learn must be importable where tasks run, got: {missing}; "
            f"pip install 'kdsspark[probe]'"
        ) from missing

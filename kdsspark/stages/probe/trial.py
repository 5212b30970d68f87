"""Train and test on random splits of some images, and count what is right (executor)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.config import Probe
from kdsspark.stages.probe.classifier import (
    METHODS,
    Classifier,
    Labels,
    Majority,
    Neighbours,
    PairVotes,
    Vectors,
    fit_at_once,
    fit_streaming,
)
from kdsspark.stages.probe.vectors import VectorSource
from kdsspark.stats.accuracy.intervals import Interval, of_folds, wilson
from kdsspark.stats.accuracy.split import random_places, split

STREAMING: Final = "SGD"
MAJORITY: Final = "majority"
"""The methods of ``probe`` that no classifier is named after."""

PENALTIES: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
"""What ``c`` is chosen from."""

_PARTS: Final = 4  # of the training images, to choose it by (Azizpour et al., section 5)

Mask = npt.NDArray[np.bool_]
Prepare = Callable[[VectorSource, Mask], VectorSource]
"""The vectors of a fold, learned from its images to train with, as principal components are."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A classifier, and how it came about."""

    classifier: Classifier
    method: str
    solved: bool = True  # whether the solver converged, where machines are not fitted as they vote
    c: float = np.nan  # NaN where none was used

    @property
    def converged(self) -> bool:
        """Whether the solver did: of pairs of classes, in all machines that have voted."""
        if isinstance(self.classifier, PairVotes):
            return self.classifier.converged
        return self.solved


@dataclass(frozen=True, eq=False)
class TrialResult:
    """What the folds of a trial counted; arrays are [folds, classes]."""

    n_train: npt.NDArray[np.int64]
    n_test: npt.NDArray[np.int64]
    correct: npt.NDArray[np.int64]
    fits: tuple[Fitted, ...]  # of each fold

    @property
    def method(self) -> str:
        """The method of the first fold; all have the same classes to train with."""
        return self.fits[0].method

    @property
    def converged(self) -> bool:
        """Whether the solver did in every fold."""
        return all(fit.converged for fit in self.fits)

    @property
    def c(self) -> float:
        """The median penalty; NaN where none was used."""
        return float(np.median([fit.c for fit in self.fits]))

    def accuracies(self) -> npt.NDArray[np.float64]:
        """Of all test images together, then of each class: [folds, 1 + classes]; NaN of none."""
        correct = np.column_stack([self.correct.sum(axis=1), self.correct])
        n = np.column_stack([self.n_test.sum(axis=1), self.n_test])
        return _shares(correct, n)

    def means_of_classes(self) -> npt.NDArray[np.float64]:
        """The mean of the accuracies of the classes that are tested: [folds]; NaN of none."""
        of_class = self.accuracies()[:, 1:]
        tested = ~np.isnan(of_class)
        n = tested.sum(axis=1)
        total = np.where(tested, of_class, 0).sum(axis=1)
        return _shares(total, n)

    def columns(self, accuracies: npt.NDArray[np.float64]) -> dict[str, Any]:
        """What the tables of trials have in common, of ``accuracies`` [folds]; null for NaN."""
        n_test = self.n_test.sum(axis=1)
        low, high = interval(accuracies, n_test)
        counts = {
            "method": self.method,
            "n_train": int(self.n_train[0].sum()),
            "n_test": int(n_test[0]),
            "folds": len(accuracies),
        }
        return counts | with_nulls(accuracy=accuracies.mean(), low=low, high=high)


def with_nulls(**numbers: Any) -> dict[str, float | None]:
    """Numbers for a table, which has null for NaN."""
    return {name: None if np.isnan(value) else float(value) for name, value in numbers.items()}


def _shares(part: npt.NDArray[Any], of: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """part / of; NaN of none."""
    share: npt.NDArray[np.float64] = np.full(of.shape, np.nan)
    np.divide(part, of, out=share, where=of > 0)
    return share


def interval(values: npt.NDArray[np.float64], n_test: npt.NDArray[np.int64]) -> Interval:
    """The interval of accuracies [folds, ...], of so many test images each: 95 %.

    Student's over folds, Wilson's for a single one.
    """
    return of_folds(values) if len(values) > 1 else wilson(values[0], n_test[0])


def run(source: VectorSource, settings: Probe, prepare: Prepare | None = None) -> TrialResult:
    """Train and test on every fold, on what ``prepare`` makes of the vectors if it is given.

    Raises :class:`KdssparkError` if scikit-learn is missing.
    """
    n_classes = 1 + int(source.labels.max())
    counts: list[list[npt.NDArray[np.int64]]] = []
    fits: list[Fitted] = []
    for fold in range(settings.folds):
        places = random_places(source.keys, source.labels, settings.seed, fold)
        found = split(
            places, source.labels, settings.test, settings.train_per_class, settings.max_test
        )
        ready = prepare(source, found.trained) if prepare else source
        fit = _fit(ready, settings, found.trained)
        right = _right(ready, fit.classifier, found.tested)
        some = (source.labels[chosen] for chosen in (*found, right))
        counts.append([np.bincount(labels, minlength=n_classes) for labels in some])
        fits.append(fit)
    n_train, n_test, correct = np.stack(counts, axis=1)
    return TrialResult(n_train, n_test, correct, tuple(fits))


def _fit(source: VectorSource, settings: Probe, trained: Mask) -> Fitted:
    labels = source.labels[trained]
    if not source.n_features or len(np.unique(labels)) == 1:
        return Fitted(Majority.of(labels), MAJORITY)
    if settings.classifier == "knn":
        batches = partial(to_train, source, trained, None)
        return Fitted(Neighbours(batches, 1 + int(labels.max())), METHODS["knn"])
    c = _chosen(source, settings, trained) if settings.c is None else settings.c
    return _fit_linear(source, settings, trained, c)


def _fit_linear(source: VectorSource, settings: Probe, trained: Mask, c: float) -> Fitted:
    labels, kind = source.labels[trained], settings.classifier
    if len(np.unique(labels)) == 1:
        return Fitted(Majority.of(labels), MAJORITY)
    if source.streams:
        model = fit_streaming(partial(to_train, source, trained), labels, c, kind)
        return Fitted(model, STREAMING, c=c)
    ((vectors, labels),) = to_train(source, trained, None)
    if kind == "svm_pairs":
        return Fitted(PairVotes(vectors, labels, c), METHODS[kind], c=c)
    fitted, converged = fit_at_once(vectors, labels, c, kind)
    return Fitted(fitted, METHODS[kind], converged, c)


def _chosen(source: VectorSource, settings: Probe, trained: Mask) -> float:
    """The penalty that is right most often, each part tested by the others; the least of equals.

    Every class gives each part its share; one with fewer images than parts is missing in some.
    """
    places = random_places(source.keys, source.labels, settings.seed, settings.folds)
    ranks = np.full(len(places), -1)
    chosen = np.flatnonzero(trained)
    order = chosen[np.lexsort((places[chosen], source.labels[chosen]))]
    sizes = np.bincount(source.labels[chosen])
    ranks[order] = np.arange(len(order)) - (sizes.cumsum() - sizes)[source.labels[order]]
    right = []
    for c in PENALTIES:
        total = 0
        for part in range(_PARTS):
            apart = trained & (ranks % _PARTS == part)
            rest = trained & ~apart
            if apart.any() and rest.any():
                fit = _fit_linear(source, settings, rest, c)
                total += int(_right(source, fit.classifier, apart).sum())
        right.append(total)
    return PENALTIES[int(np.argmax(right))]


def to_train(
    source: VectorSource, trained: Mask, number: int | None
) -> Iterator[tuple[Vectors, Labels]]:
    """One pass over the images to train with."""
    for some, vectors in source.batches(number):
        kept = trained[some]
        if kept.any():
            yield vectors[kept], source.labels[some][kept]


def _right(source: VectorSource, classifier: Classifier, tested: Mask) -> Mask:
    """The images of ``tested`` that get their own class: [images]."""
    right = np.zeros(len(tested), np.bool_)
    for some, vectors in source.batches():
        at = np.flatnonzero(tested[some])
        if at.size:
            guess = classifier.predict(vectors[at])
            right[at + some.start] = guess == source.labels[at + some.start]
    return right

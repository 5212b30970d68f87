"""Linear support vector machines, one class against the rest (executor).

``LinearSVC`` where memory holds the images. Where it does not, ``SGDClassifier`` minimises the
hinge loss over one row group after the other. Spark ML has a linear machine too, but would have
the embeddings copied into the JVM, the very path that the other stages avoid, and for two classes
at a time; scikit-learn streams and is well kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from kdsspark.errors import KdssparkError

_FEWEST_PASSES: Final = 10
_FEWEST_STEPS: Final = 20_000  # images seen; with few images ten passes are not enough

_MOST_ITERATIONS: Final = 2000
_RANDOM_STATE: Final = 0

Vectors = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]
Pass = Callable[[int], Iterable[tuple[Vectors, Labels]]]
"""Number of the pass -> the images to train with, in batches."""


class Classifier(Protocol):
    """What tells classes apart."""

    def predict(self, vectors: Vectors, /) -> npt.NDArray[Any]:
        """The class of each of ``vectors`` [images, features]."""


@dataclass(frozen=True)
class Majority:
    """The class with most images, the first of equals: where there is nothing to learn from."""

    class_id: int

    @staticmethod
    def of(labels: Labels) -> Majority:
        """From the labels to train with [images]."""
        return Majority(int(np.bincount(labels).argmax()))

    def predict(self, vectors: Vectors, /) -> npt.NDArray[Any]:
        """That class, for every one of ``vectors`` [images, features]."""
        return np.full(len(vectors), self.class_id)


def fit_at_once(vectors: Vectors, labels: Labels, c: float) -> tuple[Classifier, bool]:
    """Fit ``LinearSVC`` to [images, features]; also whether it converged.

    Raises :class:`KdssparkError` where scikit-learn is missing.
    """
    _require_sklearn()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=c, dual="auto", max_iter=_MOST_ITERATIONS, random_state=_RANDOM_STATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by the result instead
        model.fit(vectors, labels)
    return model, bool(np.max(model.n_iter_) < _MOST_ITERATIONS)


def passes_over(n_images: int) -> int:
    """How often ``SGDClassifier`` sees the images to train with."""
    return max(_FEWEST_PASSES, -(-_FEWEST_STEPS // n_images))


def fit_streaming(batches: Pass, labels: Labels, c: float) -> Classifier:
    """Fit ``SGDClassifier`` pass by pass; ``labels`` [images] are those of a whole pass.

    ``c`` has the meaning it has in ``LinearSVC``: a penalty of 1 / (c x images). Weights are
    averaged from the second pass on. Raises :class:`KdssparkError` where scikit-learn is missing.
    """
    _require_sklearn()
    from sklearn.linear_model import SGDClassifier

    n = len(labels)
    model = SGDClassifier(loss="hinge", alpha=1 / (c * n), average=n, random_state=_RANDOM_STATE)
    classes = np.unique(labels)
    for number in range(passes_over(n)):
        for vectors, some in batches(number):
            model.partial_fit(vectors, some, classes)
    fitted: Classifier = model
    return fitted


def _require_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as missing:
        raise KdssparkError(
            f"probe: scikit-learn must be importable where tasks run, got: {missing}; "
            f"pip install 'kdsspark[probe]'"
        ) from missing

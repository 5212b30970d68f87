"""Linear support vector machines, one class against the rest (executor).

If the images fit in memory, ``LinearSVC`` fits them at once. If not, ``SGDClassifier`` minimises
the hinge loss over one row group after the other. Spark ML has a linear machine as well, but it
would copy the embeddings into the JVM, and it separates two classes only.
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
_FEWEST_STEPS: Final = 20_000  # images seen; ten passes over few images are not enough

_MOST_ITERATIONS: Final = 2000
_RANDOM_STATE: Final = 0

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


def fit_at_once(vectors: Vectors, labels: Labels, c: float) -> tuple[Linear, bool]:
    """Fit ``LinearSVC`` to ``vectors`` [images, features]; also returns whether it converged.

    Raises :class:`KdssparkError` if scikit-learn is missing.
    """
    _require_sklearn()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=c, dual="auto", max_iter=_MOST_ITERATIONS, random_state=_RANDOM_STATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the result says so instead
        model.fit(vectors, labels)
    return model, bool(np.max(model.n_iter_) < _MOST_ITERATIONS)


def passes_over(n_images: int) -> int:
    """The number of times that ``SGDClassifier`` sees each image to train with."""
    return max(_FEWEST_PASSES, -(-_FEWEST_STEPS // n_images))


def fit_streaming(batches: Pass, labels: Labels, c: float) -> Classifier:
    """Fit ``SGDClassifier`` pass by pass; ``labels`` [images] are those of one whole pass.

    ``c`` means what it means in ``LinearSVC``: the penalty is 1 / (c x images). Weights are
    averaged from the second pass on. Raises :class:`KdssparkError` if scikit-learn is missing.
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

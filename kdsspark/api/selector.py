"""A selector of units for pipelines of scikit-learn, which is needed for this module alone."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.api.measuring import measure
from kdsspark.api.result import Result

try:
    from sklearn.base import BaseEstimator
    from sklearn.feature_selection import SelectorMixin
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as missing:
    raise ImportError(
        f"kdsspark.KSSelector needs scikit-learn 1.6 or newer: "
        f"pip install 'kdsspark[sklearn]', got: {missing}"
    ) from missing

_WAYS: Final = ("threshold", "q", "best")


class KSSelector(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the units that tell at least one class from the rest, by the labels given to ``fit``.

    ``by`` says which:

    - ``threshold``: ks is above ``t_plus_`` or below ``t_minus_``, beyond which true labels differ
      from shuffled ones (paper equation 4). A number as ``threshold``: abs(ks) is above it.
    - ``q``: the false discovery rate, adjusted over all units and classes, is below ``q``.
    - ``best``: abs(ks) is among the ``best`` largest of a class; of equal ones, the first units.

    ``bins``, ``shuffles``, ``seed`` and ``threads`` are those of :func:`kdsspark.measure`. Values
    may be sparse, NaN or infinite.

    After ``fit``: ``support_`` (bool [units]), ``ks_`` (float64 [units, classes]), ``classes_``,
    ``t_plus_`` and ``t_minus_``, NaN where there is none.
    """

    def __init__(
        self,
        by: str = "threshold",
        *,
        threshold: float | None = None,
        q: float = 0.05,
        best: int = 10,
        bins: int = 100,
        shuffles: int = 1,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.by = by
        self.threshold = threshold
        self.q = q
        self.best = best
        self.bins = bins
        self.shuffles = shuffles
        self.seed = seed
        self.threads = threads

    def fit(self, X: Any, y: Any) -> KSSelector:
        """Measure ``X`` [images, units] with the labels ``y``; raises ValueError.

        ``y`` is [images], or [images, classes] of booleans or of 0 and 1: any number of labels an
        image. ``classes_`` are then the numbers of the columns.
        """
        self._refuse_settings()
        several = y is not None and type_of_target(y) == "multilabel-indicator"
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=("csr", "csc"),
            ensure_all_finite=False,
            dtype="numeric",
            multi_output=several,
        )
        check_classification_targets(y)
        if several:
            self.classes_, labels = np.arange(y.shape[1]), y
        else:
            self.classes_, labels = np.unique(y, return_inverse=True)
        found = measure(
            X,
            labels,
            bins=self.bins,
            shuffles=self.shuffles,
            seed=self.seed,
            exact=self.by == "q",
            threads=self.threads,
        )
        # Classes are in the order of their text there, and of their numbers here.
        order = np.argsort(found.classes)
        self.ks_ = _by_unit(found, "ks")[:, order]
        row = found.thresholds.iloc[0]
        self.t_plus_, self.t_minus_ = float(row["t_plus"]), float(row["t_minus"])
        chosen = self._chosen(_by_unit(found, "q")[:, order])
        self.support_: npt.NDArray[np.bool_] = np.asarray(chosen.any(axis=1))
        return self

    def _chosen(self, q: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """The units chosen for each class: [units, classes]; ``q`` has the same shape."""
        ks = self.ks_
        if self.by == "q":
            return np.asarray(q < self.q)
        if self.by == "best":
            rank = np.argsort(np.argsort(-np.abs(ks), axis=0, kind="stable"), axis=0)
            return np.asarray((rank < self.best) & ~np.isnan(ks))
        if self.threshold is None:
            return np.asarray((ks > self.t_plus_) | (ks < self.t_minus_))
        return np.asarray(np.abs(ks) > self.threshold)

    def _refuse_settings(self) -> None:
        if self.by not in _WAYS:
            raise ValueError(f"by must be one of {', '.join(_WAYS)}, got {self.by!r}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be None or from 0 to 1, got {self.threshold}")
        if not 0 < self.q <= 1:
            raise ValueError(f"q must be above 0 and at most 1, got {self.q}")
        if self.best < 1:
            raise ValueError(f"best must be at least 1, got {self.best}")

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.target_tags.two_d_labels = True
        return tags


def _by_unit(found: Result, column: str) -> npt.NDArray[np.float64]:
    """A column of ``ks``: [units, classes]."""
    return found.ks[column].to_numpy().reshape(-1, len(found.classes))

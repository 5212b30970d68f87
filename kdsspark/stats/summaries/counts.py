"""The counts that tables take from distances, in a form that adds up over features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.summaries.thresholds import (
    DISTRIBUTION_BINS,
    SURVIVAL_GRID,
    Tally,
    distribution,
    survival,
    tally,
)


@dataclass(frozen=True, eq=False)
class Summary:
    """Counts of the distances of a set of features under one labeling.

    ``tally`` is that of :func:`.thresholds.tally`, ``survival`` (int64 [classes, signs, 101]) that
    of :func:`.thresholds.survival`, and ``distribution`` (int64 [200]) that of
    :func:`.thresholds.distribution`.
    """

    tally: Tally
    survival: NDArray[np.int64]
    distribution: NDArray[np.int64]

    @staticmethod
    def zero(n_classes: int) -> Summary:
        """The summary of no features."""
        return Summary(
            Tally.zero(),
            np.zeros((n_classes, 2, SURVIVAL_GRID.size), np.int64),
            np.zeros(DISTRIBUTION_BINS, np.int64),
        )

    @staticmethod
    def of(ks: NDArray[np.float64], reach: float = 0.0) -> Summary:
        """The summary of the distances ``ks`` [units, classes]; NaN is an undefined one.

        ``reach`` is the largest :func:`.significance.reach` of them.
        """
        return Summary(replace(tally(ks), reach=reach), survival(ks), distribution(ks))

    def merge(self, other: Summary) -> Summary:
        """The summary of the features of both; the classes must be the same."""
        return Summary(
            self.tally.merge(other.tally),
            self.survival + other.survival,
            self.distribution + other.distribution,
        )

"""The range of every feature, which its bins divide (paper section 4).

Ranges are found by a kernel (:func:`kdsspark.stats.bins.feature_ranges`), and merged without: the
driver does so, and numba takes it a moment to import.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Ranges:
    """The range of the finite values of every unit; each field is an array [units].

    ``lo`` and ``hi`` (float64) are the smallest and largest finite value, NaN if there is none.
    ``n`` and ``n_nonfinite`` (int64) count the finite values and the others.
    """

    lo: NDArray[np.float64]
    hi: NDArray[np.float64]
    n: NDArray[np.int64]
    n_nonfinite: NDArray[np.int64]

    @staticmethod
    def zero(units: int) -> Ranges:
        """The ranges of no images."""
        nothing = np.full(units, np.nan)
        return Ranges(nothing, nothing, np.zeros(units, np.int64), np.zeros(units, np.int64))

    def merge(self, other: Ranges) -> Ranges:
        """The ranges over the images of both; the order and grouping of merges do not matter."""
        return Ranges(
            np.fmin(self.lo, other.lo),
            np.fmax(self.hi, other.hi),
            self.n + other.n,
            self.n_nonfinite + other.n_nonfinite,
        )

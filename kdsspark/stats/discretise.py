"""The full-network embedding: features on one scale, reduced to -1, 0 and +1.

The paper's conclusion leads to it; Garcia-Gasulla et al. (2017b) define it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def standardise(
    values: NDArray[Any], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(values - mean) / std``, float64 [images, units].

    ``values`` is [images, units] of any float type; ``mean`` and ``std`` are [units]. Results
    that are not finite become 0: those of values that are not finite, and those of units whose
    ``std`` is 0, even if ``values`` differ from the mean because they are of other images.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        standardised = (values - mean) / std
    standardised[~np.isfinite(standardised)] = 0
    return standardised


def discretise(
    standardised: NDArray[np.float64], t_minus: float, t_plus: float
) -> NDArray[np.int8]:
    """+1 strictly above ``t_plus``, -1 strictly below ``t_minus``, 0 between; the same shape.

    Raises ValueError unless ``t_minus <= 0 <= t_plus``, so that 0 always becomes 0.
    """
    if not t_minus <= 0 <= t_plus:
        raise ValueError(f"expected t_minus <= 0 <= t_plus, got {t_minus} and {t_plus}")
    above, below = standardised > t_plus, standardised < t_minus
    return above.astype(np.int8) - below.astype(np.int8)

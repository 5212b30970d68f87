"""Features on one scale, and then in three steps: the full-network embedding.

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

    ``values`` is [images, units] of any float, ``mean`` and ``std`` are [units]. 0 where that is
    not finite: for values that are not, and for units without deviation, also where ``values``
    are of other images than the mean.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        standardised = (values - mean) / std
    standardised[~np.isfinite(standardised)] = 0
    return standardised


def discretise(
    standardised: NDArray[np.float64], t_minus: float, t_plus: float
) -> NDArray[np.int8]:
    """+1 strictly above ``t_plus``, -1 strictly below ``t_minus``, else 0; of the same shape.

    Raises ValueError unless ``t_minus <= 0 <= t_plus``, where 0 would not be 0.
    """
    if not t_minus <= 0 <= t_plus:
        raise ValueError(f"expected t_minus <= 0 <= t_plus, got {t_minus} and {t_plus}")
    above, below = standardised > t_plus, standardised < t_minus
    return above.astype(np.int8) - below.astype(np.int8)

"""How selective a feature is: the entropy of the labels above a value (Agrawal et al. 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def area_under_entropy(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The area under each feature's entropy curve: float64 [features], from 0 to 1.

    ``counts`` is [features, classes, bins], integers: the histogram of each class over the bins of
    the feature's range. H(b) is the entropy of the labels of all values in bin b or a higher one,
    divided by ln(classes); the area is its mean over the bins that have such a value, which are all
    bins but for a constant feature, whose values are in bin 0. 0 means that the values are of one
    class, 1 that classes are alike in number above every value. NaN where a feature has no value,
    and for a single class.
    """
    n_classes = counts.shape[1]
    above = counts[..., ::-1].cumsum(axis=-1, dtype=np.float64)[..., ::-1]
    total = above.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = above / total[:, None]
        information = np.where(share > 0, -share * np.log(share), 0).sum(axis=1)
        known = total > 0
        mean = np.where(known, information, 0).sum(axis=1) / known.sum(axis=1)
        area: npt.NDArray[np.float64] = mean / np.log(n_classes)
    return area if n_classes > 1 else np.full(len(counts), np.nan)

"""The method in a few lines each, by numpy and scipy, slow and plain: the oracle of the tests."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[Any]

COMPARED = ("auc", "p_auc", "mean_difference", "nonzero_inner", "nonzero_outer")


def histogram(x: Values, lo: float, hi: float, bins: int) -> Values:
    """Counts of the finite values of ``x``; a constant feature is all in bin 0."""
    x = x[np.isfinite(x)].astype(np.float64)
    if lo == hi:
        return np.array([len(x)] + [0] * (bins - 1))
    return np.histogram(x, bins=bins, range=(lo, hi))[0]


def binned_ks(inner: Values, outer: Values) -> tuple[float | None, int]:
    """Signed distance of two histograms as (ks, bin), by exact fractions."""
    n, m = int(inner.sum()), int(outer.sum())
    if not n or not m:
        return None, -1
    p, q = np.cumsum(inner), np.cumsum(outer)
    gaps = [Fraction(int(b), m) - Fraction(int(a), n) for a, b in zip(p, q, strict=True)]
    largest = max(abs(gap) for gap in gaps)
    where = next(i for i, gap in enumerate(gaps) if abs(gap) == largest)
    return float(gaps[where]), where if largest else -1


def exact_ks(inner: Values, outer: Values) -> float | None:
    """Size by scipy; sign by the first point of the largest gap."""
    inner, outer = inner[np.isfinite(inner)], outer[np.isfinite(outer)]
    if not len(inner) or not len(outer):
        return None
    with np.errstate(divide="ignore"):  # in the p-value of one against one
        size = stats.ks_2samp(inner, outer, method="asymp").statistic
    for x in np.unique(np.concatenate([inner, outer])):
        gap = Fraction(int((outer <= x).sum()), len(outer)) - Fraction(
            int((inner <= x).sum()), len(inner)
        )
        if abs(abs(float(gap)) - size) < 1e-12 and gap:
            return float(np.sign(float(gap)) * size)
    return 0.0


def compared(inner: Values, outer: Values) -> dict[str, float | None]:
    """What else the finite values say: the columns of ``ks`` after ``ks_exact``."""
    inner, outer = inner[np.isfinite(inner)], outer[np.isfinite(outer)]
    if not len(inner) or not len(outer):
        return dict.fromkeys(COMPARED)
    test = stats.mannwhitneyu(inner, outer, method="asymptotic")
    found = (
        test.statistic / (len(inner) * len(outer)),
        test.pvalue,
        inner.mean() - outer.mean(),
        (inner != 0).mean(),
        (outer != 0).mean(),
    )
    return dict(zip(COMPARED, map(float, found), strict=True))


def davg(true: Values, shuffled: Values, x: float, sign: int) -> Fraction:
    """Equation 4; ``true`` [features, classes], ``shuffled`` [features, classes x shuffles]."""
    beyond = [int((sign * ks > x).sum()) for ks in (true, shuffled)]
    return Fraction(beyond[0], true.shape[1]) - Fraction(beyond[1], shuffled.shape[1])


def threshold(true: Values, shuffled: Values, sign: int) -> tuple[float, float]:
    """(t, davg(t)) on the grid 0, 0.001, .. 1, the first maximum."""
    curve = [davg(true, shuffled, k / 1000, sign) for k in range(1001)]
    best = curve.index(max(curve))
    return sign * best / 1000, float(curve[best])


def codes(values: Values, bins: int) -> Values:
    """The bin of every value [images, units] over the range of its unit; ``bins`` if in none."""
    found = np.full(values.shape, bins)
    for unit, x in enumerate(values.T.astype(np.float64)):
        finite = x[np.isfinite(x)]
        for i in np.flatnonzero(np.isfinite(x)):
            one = histogram(x[i : i + 1], finite.min(), finite.max(), bins)
            found[i, unit] = int(one.argmax())
    return found


def distances(
    values: Values, labelings: list[Values], n_classes: int, bins: int
) -> dict[tuple[int, int, int], dict[str, Any]]:
    """(unit, class, shuffle) -> the columns of ``ks``, and ``counts``, of [images, units]."""
    found = {}
    for unit, x in enumerate(values.T.astype(np.float64)):
        finite = x[np.isfinite(x)]
        lo, hi = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
        for shuffle, labeling in enumerate(labelings):
            for class_id in range(n_classes):
                inner, outer = x[labeling == class_id], x[labeling != class_id]
                counts = [histogram(side, lo, hi, bins) for side in (inner, outer)]
                ks, where = binned_ks(*counts)
                found[unit, class_id, shuffle] = {
                    "n_inner": int(counts[0].sum()),
                    "n_outer": int(counts[1].sum()),
                    "ks": ks,
                    "bin": where,
                    "ks_exact": exact_ks(inner, outer),
                    **compared(inner, outer),
                    "counts": counts[0].tolist(),
                }
    return found

"""P-values and false discovery rates: could a distance have come about by chance alone?

The paper does not have them; it compares with shuffled labels instead. The null hypothesis is that
of the two-sample Kolmogorov-Smirnov test. Ties, and therefore bins, only make p-values too large.

The family-wise p-values (:func:`max_p_values`) come from the shuffled labels themselves: from the
largest distance of any feature and class under each of them (Westfall and Young 1993,
*Resampling-Based Multiple Testing*). They need no assumption about ties, nor about how features
depend on each other.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT_PRODUCT = 10_000
"""The largest ``n_inner * n_outer`` with exact p-values, which take about 1 ms each."""


def p_values(
    ks: NDArray[np.float64], n_inner: NDArray[np.int64], n_outer: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Two-sided p-values of distances, float64; the arrays have one shape or broadcast to one.

    The sign of ``ks`` does not matter; NaN (an undefined distance) gives NaN. Up to
    ``EXACT_PRODUCT`` the p-values are exact, like those of ``scipy.stats.ks_2samp``. Above it, they
    are Kolmogorov's limit distribution at ``|ks| * (sqrt(m) + 0.12 + 0.11 / sqrt(m))`` with
    m = n_inner * n_outer / (n_inner + n_outer). This is the correction for finite samples of
    Stephens (1970), *J. R. Stat. Soc. B* 32, 115-122. For m >= 20 and p >= 0.001, it is within 5 %
    of the exact value if the outer sample is at least ten times the inner one, and within 20 % if
    both are of similar size. It is too large for classes of a few images and for p below about
    1e-6, and by orders of magnitude far below.

    Raises ValueError if an exact p-value is needed and samples of these sizes cannot have the
    distance ``ks``.
    """
    from scipy import special  # takes a quarter of a second, which other commands do without

    arrays = np.broadcast_arrays(np.abs(ks), n_inner, n_outer)
    distance, inner, outer = (a.ravel() for a in arrays)
    p = np.full(distance.shape, np.nan)
    defined = ~np.isnan(distance)
    product = inner.astype(np.float64) * outer
    small = defined & (product <= EXACT_PRODUCT)
    large = defined & ~small
    root = np.sqrt(product[large] / (inner[large] + outer[large]))
    p[large] = special.kolmogorov(distance[large] * (root + 0.12 + 0.11 / root))
    gaps = np.rint(distance[small] * product[small]).astype(np.int64)
    cases, which = np.unique(
        np.stack([gaps, inner[small], outer[small]], axis=1), axis=0, return_inverse=True
    )
    exact = np.array([_exact(*case) for case in cases.tolist()])
    p[small] = exact[which.ravel()] if exact.size else exact
    return p.reshape(arrays[0].shape)


@functools.lru_cache(maxsize=1_000_000)
def _exact(gap: int, n_inner: int, n_outer: int) -> float:
    """The probability of a distance of at least ``gap / (n_inner * n_outer)``.

    scipy takes samples, not a distance, so this makes two samples that have the distance: with p
    zeros in the inner one, q zeros in the outer one, and ones, so that
    ``q * n_inner - p * n_outer = gap``.
    """
    if n_inner == n_outer and gap in (0, n_inner):
        return 1.0  # samples of one size differ by 1 / n at least; scipy rounds 1 to above 1
    p = np.arange(n_inner + 1)
    q, rest = np.divmod(gap + p * n_outer, n_inner)
    possible = np.flatnonzero((rest == 0) & (q <= n_outer))
    if not possible.size:
        raise ValueError(
            f"ks must be a distance of samples of {n_inner} and {n_outer}, "
            f"got {gap / (n_inner * n_outer)}"
        )
    inner = np.arange(n_inner) >= p[possible[0]]
    outer = np.arange(n_outer) >= q[possible[0]]
    from scipy import stats  # takes half a second

    result: Any = stats.ks_2samp(inner.astype(float), outer.astype(float), method="exact")
    return float(result.pvalue)


def reach(
    ks: NDArray[np.float64], n_inner: NDArray[np.int64], n_outer: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far distances are from 0, in the unit of what chance gives for classes of their sizes.

    This is ``|ks| * sqrt(n_inner * n_outer / (n_inner + n_outer))``, whose limit distribution is
    the same for all sizes. So distances of small and large classes compare; by ``|ks|`` alone, a
    class of one image would have the largest under any labels. The arrays have one shape; NaN
    where ``ks`` is.
    """
    product = n_inner.astype(np.float64) * n_outer
    scale: NDArray[np.float64] = np.sqrt(product / np.maximum(n_inner + n_outer, 1))
    return np.abs(ks) * scale


def max_p_values(reached: NDArray[np.float64], largest: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of labelings, the true one among them, of which any pair reaches as far.

    ``reached`` is the :func:`reach` under the true labels, of any shape, and ``largest`` [shuffles]
    the largest under each shuffle. NaN stays NaN.
    """
    before = np.searchsorted(np.sort(largest), reached, "left")
    p = (1 + largest.size - before) / (1 + largest.size)
    return np.where(np.isnan(reached), np.nan, p)


def q_values(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """False discovery rates (Benjamini and Hochberg 1995) of p-values of any shape.

    NaN stays NaN and does not count as a test.
    """
    q = np.full(p.shape, np.nan)
    defined = ~np.isnan(p)
    if defined.any():
        from scipy import stats  # takes half a second

        q[defined] = stats.false_discovery_control(p[defined])
    return q

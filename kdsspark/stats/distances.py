"""Other distances of a class from all others, from the same histograms as ks.

The paper weighs the first, third and fourth against ks and rejects them (section 4). Agrawal et
al. (2014, section 4.1) use the last to look for grandmother cells. P and Q are the shares of the
inner and the outer images in each bin, n and m are their numbers, and N = n + m. An example with
the inner counts 0, 1, 3 and the outer counts 4, 3, 1:

    name                 value   range        equal P and Q   largest where
    kullback_leibler     1.118   from 0       0               the class has bins of its own
    jensen_shannon       0.662   0 to 1       0               the same
    bhattacharyya        0.490   from 0       0               the same
    mutual_information   0.262   0 to ln 2    0               the same, and n = m
    wasserstein          0.375   0 to 1       0               first and last bin hold all
    auc                  0.875   0 to 1       0.5             the class is all higher
    average_precision    0.688   0 to 1       n / N           the class is all higher

Logarithms are natural, as in the paper; those of Jensen-Shannon have base 2, so that its largest
value is 1. Results are NaN if inner or outer is empty. Otherwise they are finite, except for one
case of Bhattacharyya. The first four ignore the order of bins. They also grow by chance: if there
is no difference, a class of n images scattered over k bins has a Kullback-Leibler divergence of
about (k - 1) / (2 n) from very many others.

**Empty bins.** Equation 1 is infinite as soon as one bin holds images of the class and no others.
That happens where a feature separates the class best, and to the class that happens to have the
largest value. In three small datasets it was 12, 48 and 52 % of the pairs, and more with shuffled
labels. Null would lose these pairs, and infinity would not order them. So the outer class gets
**one more image, spread over the bins like the whole dataset**: with p of n inner images and q of
m outer images in a bin, Q' = (q + (p + q) / N) / (m + 1). A constant added to every bin would
change the divergence of equal distributions, which stays 0 here, and would make it depend on empty
bins beside the values. P, from few images, is not changed. Q' is a mixture of Q with
n / (N * (m + 1)) parts of P (a skew divergence: Lee 1999, *Measures of distributional
similarity*), so the result is never above that of the equation. Equation 2 is infinite only if no
bin holds both kinds of images, and this is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.compiled import compiled, compiled_helper, read_only
from kdsspark.stats.histograms import totals_of

Counts = NDArray[np.int32]
Distances = NDArray[np.float64]
Inner = NDArray[np.int32]
Outer = NDArray[np.int64]

# The distances by number, for the compiled loop.
(
    _KULLBACK_LEIBLER,
    _JENSEN_SHANNON,
    _BHATTACHARYYA,
    _MUTUAL_INFORMATION,
    _WASSERSTEIN,
    _AUC,
    _AVERAGE_PRECISION,
) = range(7)


def kullback_leibler(counts: Counts, totals: Counts | None = None) -> Distances:
    """The divergence of inner from outer, sum of ``P * ln(P / Q')`` (paper equation 1).

    ``counts`` is [units, classes, bins], the result [units, classes], in nats and at most
    ``ln(N * (m + 1) / n)``. In this direction, bins that only the outer class has (most of them)
    add nothing. Q' is the outer class with one more image: see the module. Raises ValueError for
    another shape.
    """
    return _every_cell(_KULLBACK_LEIBLER, counts, totals)


def jensen_shannon(counts: Counts, totals: Counts | None = None) -> Distances:
    """The Jensen-Shannon distance: the square root of the divergence in bits, from 0 to 1.

    ``counts`` is [units, classes, bins], the result [units, classes]. The root obeys the triangle
    inequality, the divergence does not. Inner and outer have the same weight, whatever their
    sizes. Raises ValueError for another shape.
    """
    return _every_cell(_JENSEN_SHANNON, counts, totals)


def bhattacharyya(counts: Counts, totals: Counts | None = None) -> Distances:
    """The Bhattacharyya distance ``-ln(sum of sqrt(P * Q))`` (paper equation 2).

    ``counts`` is [units, classes, bins], the result [units, classes]. It is infinite if no bin
    holds both inner and outer images. Raises ValueError for another shape.
    """
    return _every_cell(_BHATTACHARYYA, counts, totals)


def mutual_information(counts: Counts, totals: Counts | None = None) -> Distances:
    """The mutual information of an image's bin and its membership in the class, in nats.

    ``counts`` is [units, classes, bins], the result [units, classes]. It is at most the entropy of
    the membership, ``-(n/N) * ln(n/N) - (m/N) * ln(m/N)``, so classes of different sizes are not
    comparable. Raises ValueError for another shape.
    """
    return _every_cell(_MUTUAL_INFORMATION, counts, totals)


def wasserstein(counts: Counts, totals: Counts | None = None) -> Distances:
    """The Wasserstein-1 (earth mover's) distance, as a share of the feature's range.

    ``counts`` is [units, classes, bins], the result [units, classes]: bins moved per image,
    divided by the number of bins, so below 1. Multiplied by ``hi - lo`` it has the unit of the
    feature. Raises ValueError for another shape.
    """
    return _every_cell(_WASSERSTEIN, counts, totals)


def auc(counts: Counts, totals: Counts | None = None) -> Distances:
    """The area under the ROC curve of the feature as a score for the class.

    ``counts`` is [units, classes, bins], the result [units, classes]: the probability that an
    inner image is in a higher bin than an outer one, where the same bin counts half. It is below
    0.5 if the class has the lower values. Rounded once. Raises ValueError for another shape.
    """
    return _every_cell(_AUC, counts, totals)


def average_precision(counts: Counts, totals: Counts | None = None) -> Distances:
    """The average precision of the feature as a score for the class, highest values first.

    ``counts`` is [units, classes, bins], the result [units, classes]: the mean over inner images
    of the share of inner images among all images in the same bin and higher ones. So all images
    of a bin are retrieved at once, like equal scores in scikit-learn's
    ``average_precision_score``. Low values never count as a good score, because a grandmother
    cell fires for its class. Raises ValueError for another shape.
    """
    return _every_cell(_AVERAGE_PRECISION, counts, totals)


DISTANCES: Final[Mapping[str, Callable[..., Distances]]] = MappingProxyType(
    {
        "kullback_leibler": kullback_leibler,
        "jensen_shannon": jensen_shannon,
        "bhattacharyya": bhattacharyya,
        "mutual_information": mutual_information,
        "wasserstein": wasserstein,
        "auc": auc,
        "average_precision": average_precision,
    }
)
"""The distances that ``measure.distances`` can name."""


def _every_cell(distance: int, counts: Counts, totals: Counts | None) -> Distances:
    totals = totals_of(counts, totals)
    distances = np.full(counts.shape[:2], np.nan)
    _fill_distances(distance, read_only(counts), totals, distances)
    return distances


@compiled
def _fill_distances(
    distance: int, counts: Counts, all_images: Counts, distances: Distances
) -> None:
    """Write the distances of all cells whose inner and outer counts are not empty."""
    units, classes, bins = counts.shape
    totals = np.empty(bins, np.int64)
    q = np.empty(bins, np.int64)
    for u in range(units):
        # Bin by bin: code that assigns arrays to arrays takes seconds to compile.
        for b in range(bins):
            totals[b] = all_images[u, b] if all_images.shape[0] else 0
        if not all_images.shape[0]:
            for c in range(classes):
                for b in range(bins):
                    totals[b] += counts[u, c, b]
        total = totals.sum()
        for c in range(classes):
            p = counts[u, c]
            for b in range(bins):
                q[b] = totals[b] - p[b]
            m = q.sum()
            if 0 < m < total:
                distances[u, c] = _of_cell(distance, p, q, total - m, m)


@compiled_helper
def _of_cell(distance: int, p: Inner, q: Outer, n: int, m: int) -> float:
    """The distance of one class for one unit; ``p`` and ``q`` are counts [bins], n and m sums."""
    if distance == _KULLBACK_LEIBLER:
        return _kullback_leibler(p, q, n, m)
    if distance == _JENSEN_SHANNON:
        return _jensen_shannon(p, q, n, m)
    if distance == _BHATTACHARYYA:
        return _bhattacharyya(p, q, n, m)
    if distance == _MUTUAL_INFORMATION:
        return _mutual_information(p, q, n, m)
    if distance == _WASSERSTEIN:
        return _wasserstein(p, q, n, m)
    if distance == _AUC:
        return _auc(p, q, n, m)
    return _average_precision(p, q, n)


@compiled_helper
def _kullback_leibler(p: Inner, q: Outer, n: int, m: int) -> float:
    total = n + m
    nats = 0.0
    for b in range(p.shape[0]):
        if p[b] > 0:
            # The integers are exact up to 9e7 images: if P equals Q, then inner equals outer.
            inner = p[b] / n
            outer = (q[b] * total + p[b] + q[b]) / (total * (m + 1))
            nats += inner * np.log(inner / outer)
    return max(nats, 0.0)


@compiled_helper
def _jensen_shannon(p: Inner, q: Outer, n: int, m: int) -> float:
    bits = 0.0
    for b in range(p.shape[0]):
        inner, outer = p[b] / n, q[b] / m
        if p[b] > 0 and q[b] > 0:
            both = inner + outer
            bits += inner * np.log2(2 * inner / both) + outer * np.log2(2 * outer / both)
        else:
            bits += inner + outer
    root: float = np.sqrt(min(max(bits / 2, 0.0), 1.0))
    return root


@compiled_helper
def _bhattacharyya(p: Inner, q: Outer, n: int, m: int) -> float:
    # 1 - sum of sqrt(P * Q) is half the sum of (sqrt(P) - sqrt(Q))**2, which is never negative
    # and keeps its digits when the distance is small.
    apart = 0.0
    shared = False
    for b in range(p.shape[0]):
        apart += (np.sqrt(p[b] * m) - np.sqrt(q[b] * n)) ** 2
        shared |= p[b] > 0 and q[b] > 0
    distance: float = -np.log1p(-apart / (2 * n * m)) if shared else np.inf
    return distance


@compiled_helper
def _mutual_information(p: Inner, q: Outer, n: int, m: int) -> float:
    total = n + m
    only_outer = np.log(total / m)  # for most bins, if the class is small
    nats = 0.0
    for b in range(p.shape[0]):
        if p[b] == 0:
            nats += q[b] * only_outer
            continue
        nats += p[b] * np.log(p[b] * total / (n * (p[b] + q[b])))
        if q[b] > 0:
            nats += q[b] * np.log(q[b] * total / (m * (p[b] + q[b])))
    return max(nats / total, 0.0)


@compiled_helper
def _wasserstein(p: Inner, q: Outer, n: int, m: int) -> float:
    inner = outer = 0
    moved = 0.0  # bins times (inner, outer) pairs
    for b in range(p.shape[0]):
        inner += p[b]
        outer += q[b]
        moved += abs(outer * n - inner * m)
    share: float = moved / (n * m) / p.shape[0]
    return share


@compiled_helper
def _auc(p: Inner, q: Outer, n: int, m: int) -> float:
    below = twice = 0
    for b in range(p.shape[0]):
        twice += p[b] * (2 * below + q[b])
        below += q[b]
    return twice / (2 * n * m)


@compiled_helper
def _average_precision(p: Inner, q: Outer, n: int) -> float:
    inner = retrieved = 0
    precision = 0.0
    for b in range(p.shape[0] - 1, -1, -1):
        inner += p[b]
        retrieved += p[b] + q[b]
        if p[b] > 0:
            precision += p[b] * (inner / retrieved)
    return precision / n

"""Which units, and which other classes, the pages of a class and a unit show (arithmetic).

All functions read ``ks``, float32 [classes, features] of one network and dataset, true labels, 0
where undefined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Distances = npt.NDArray[np.float32]
Layers = npt.NDArray[np.int32]
"""[features], the depth of each feature's layer."""


class Kin(NamedTuple):
    """A class that shares units with another one."""

    other: int  # class
    n_shared: int  # features beyond the same threshold for both
    above: int | None  # the feature by which the class is furthest above the other
    below: int | None


def strongest(values: Distances, layers: Layers, n: int, of_a_layer: int) -> list[int]:
    """The features with the highest positive values, best first, and few of one layer.

    So that every depth can be seen: the best units of a class come from all depths (paper section
    5). Ties go to the first feature.
    """
    candidates = np.flatnonzero(values > 0)
    order = candidates[np.lexsort((candidates, -values[candidates]))]
    found: list[int] = []
    of_layers: Counter[int] = Counter()
    for feature, layer in zip(order.tolist(), layers[order].tolist(), strict=True):
        if of_layers[layer] < of_a_layer and len(found) < n:
            found.append(feature)
            of_layers[layer] += 1
    return found


def extremes(values: npt.NDArray[np.float32], n: int) -> tuple[list[int], list[int]]:
    """The positions of the ``n`` highest values, best first, and of the lowest; no position twice.

    Only values above 0 are high, only those below 0 are low.
    """
    order = np.lexsort((np.arange(len(values)), -values))
    high = [int(i) for i in order[:n] if values[i] > 0]
    low = [int(i) for i in order[::-1][:n] if values[i] < 0]
    return high, low


def kin(
    ks: Distances, t_plus: float, t_minus: float, shown: Sequence[int], n: int
) -> list[list[Kin]]:
    """For each class the ``n`` others that share most features with it, of those that share any.

    A feature is shared if its distance is beyond the same threshold for both. ``shown`` are the
    features that the report draws; the ones that part two classes are among them.
    """
    high, low = (ks > t_plus).astype(np.float32), (ks < t_minus).astype(np.float32)
    shared = high @ high.T + low @ low.T
    np.fill_diagonal(shared, 0)
    drawn = ks[:, shown]
    return [
        [
            _kin(c, int(other), int(shared[c, other]), drawn, shown)
            for other in order[:n]
            if shared[c, other]
        ]
        for c, order in enumerate(np.argsort(-shared, axis=1, kind="stable"))
    ]


def _kin(c: int, other: int, n_shared: int, drawn: Distances, shown: Sequence[int]) -> Kin:
    if not len(shown):
        return Kin(other, n_shared, None, None)
    gap = drawn[c] - drawn[other]
    above, below = int(gap.argmax()), int(gap.argmin())
    return Kin(
        other,
        n_shared,
        shown[above] if gap[above] > 0 else None,
        shown[below] if gap[below] < 0 else None,
    )


def likeness(ks: Distances) -> npt.NDArray[np.float32]:
    """Float32 [classes, classes]: the correlation of the classes' distances over all features.

    1 on the diagonal; 0 for a class whose distances are all alike.
    """
    centred = ks - ks.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    found = np.clip(unit @ unit.T, -1, 1)
    np.fill_diagonal(found, 1)
    return np.asarray(found, np.float32)


def in_order(alike: npt.NDArray[np.float32]) -> list[int]:
    """Classes in an order that puts like ones beside each other.

    By average linkage, with the leaves in the order in which neighbours are most alike.
    """
    if len(alike) < 3:
        return list(range(len(alike)))
    from scipy.cluster import hierarchy  # takes a third of a second, which drawing does without

    apart = (1 - alike.astype(float))[np.triu_indices(len(alike), 1)]
    tree = hierarchy.linkage(np.maximum(apart, 0), "average", optimal_ordering=len(alike) <= _SLOW)
    return [int(leaf) for leaf in hierarchy.leaves_list(tree)]


_SLOW = 300  # classes; the optimal order takes time with their cube

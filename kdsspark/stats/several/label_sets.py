"""Sets of labels: what an image has instead of one label, and how they are counted.

Each distinct set of classes has a number. Labels are then one number an image again, and a shuffle
deals out whole sets: classes that come together in an image stay together, and class sizes are
kept. Every class is compared with all images that do not have it, so the classes do not add up to
the images; counts of all images are kept beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.bins import Codes
from kdsspark.stats.compiled import compiled
from kdsspark.stats.histograms import check_labels


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The distinct sets of classes of a dataset, in the order of their class ids.

    Set ``s`` has the classes ``classes[starts[s]:starts[s + 1]]``, ascending. ``starts`` is int64
    [sets + 1], ``classes`` int32 [labels of all sets].
    """

    starts: NDArray[np.int64]
    classes: NDArray[np.int32]
    n_classes: int

    @staticmethod
    def of(sets: Iterable[tuple[int, ...]], n_classes: int) -> tuple[LabelSets, list[int]]:
        """The sets, and the number of each given one; two of the same classes have one number.

        Each is ascending class ids. Raises ValueError where one is not, and for ids outside
        [0, n_classes).
        """
        given = list(sets)
        distinct = sorted(set(given))
        numbers = {one: number for number, one in enumerate(distinct)}
        starts = np.cumsum([0, *map(len, distinct)], dtype=np.int64)
        classes = np.fromiter((c for one in distinct for c in one), np.int32, starts[-1])
        found = LabelSets(starts, classes, n_classes)
        if not found._ascend():
            raise ValueError(f"sets must be ascending class ids from 0 to {n_classes - 1}")
        return found, [numbers[one] for one in given]

    def _ascend(self) -> bool:
        ids = self.classes.astype(np.int64)
        ids += np.repeat(np.arange(self.n_sets), np.diff(self.starts)) * self.n_classes
        inside = ids.size == 0 or 0 <= self.classes.min() <= self.classes.max() < self.n_classes
        return bool(inside and (np.diff(ids) > 0).all())

    @property
    def n_sets(self) -> int:
        """The number of sets."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        return self.starts.nbytes + self.classes.nbytes

    def sizes(self, labels: NDArray[np.int32]) -> NDArray[np.int64]:
        """The number of images of each class: int64 [classes]; ``labels`` [images] are sets."""
        return self.class_sizes(np.bincount(labels, minlength=self.n_sets))

    def class_sizes(self, images_of_sets: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of images of each class, from that of each set."""
        sizes = np.zeros(self.n_classes, np.int64)
        np.add.at(sizes, self.classes, np.repeat(images_of_sets, np.diff(self.starts)))
        return sizes


def set_histograms(
    codes: Codes, labels: NDArray[np.int32], sets: LabelSets, bins: int
) -> NDArray[np.int32]:
    """Count the images of every unit per bin: int32 [units, 1 + classes, bins].

    All images come first, then those of each class. ``codes`` is [units, images], as in
    :func:`kdsspark.stats.histograms.class_histograms`, and ``labels`` [images] are sets. Raises
    ValueError for other labels and for shapes that do not fit.
    """
    if codes.ndim != 2:
        raise ValueError(f"codes must be [units, images], got shape {codes.shape}")
    if labels.shape != codes.shape[1:]:
        raise ValueError(f"labels must be {codes.shape[1:]}, got {labels.shape}")
    check_labels(labels, sets.n_sets)
    counts = np.zeros((codes.shape[0], 1 + sets.n_classes, bins), np.int32)
    _count(codes, labels.astype(np.uint32), sets.starts, sets.classes, counts)
    return counts


@compiled
def _count(
    codes: Codes,
    labels: NDArray[np.uint32],
    starts: NDArray[np.int64],
    classes: NDArray[np.int32],
    counts: NDArray[np.int32],
) -> None:
    bins = counts.shape[2]
    for u in range(codes.shape[0]):
        row, cells = codes[u], counts[u]
        for i in range(row.shape[0]):
            b: Any = row[i]
            if b < bins:
                cells[0, b] += 1
                for j in range(starts[labels[i]], starts[labels[i] + 1]):
                    cells[1 + classes[j], b] += 1

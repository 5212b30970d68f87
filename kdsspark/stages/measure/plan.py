"""How a dataset is cut, so that every task of ``measure`` stays within its memory (driver).

The cut follows from the dataset and the settings, not from the cluster, so that it is the same
everywhere. There are three ways:

``WHOLE``    At least half a layer fits in memory. A task reads the whole layer from
             ``embeddings`` and keeps its slice, so each layer is read once or twice.
``COLUMNS``  Only narrower slices fit. The embeddings are written once in column order, and a task
             reads its slice from there.
``ROWS``     Not even one unit fits, over all images. A task counts a range of the images, and Spark
             adds up the counts. An exact distance is no sum of parts, so there is none this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

import numpy as np

from kdsspark.config import Measure
from kdsspark.errors import ConfigError
from kdsspark.stages.measure.columns import ColumnsLayout
from kdsspark.stats.bins import codes_dtype

# Slices of a layer that is read from `embeddings`, each of which reads all of it.
_MOST_SLICES: Final = 2

# A slice holds as many units as fit in memory, at most so many values: a few seconds of work, so
# that cores finish together.
_MOST_VALUES_OF_A_SLICE: Final = 100_000_000

# The rows are cut into about this many ranges, enough for many cores, or more if memory is short.
_RANGES: Final = 64
_FEWEST_ROWS_OF_A_RANGE: Final = 256


class Way(Enum):
    """Where a slice gets its codes from; the module describes the three ways."""

    WHOLE = "whole"
    COLUMNS = "columns"
    ROWS = "rows"


@dataclass(frozen=True)
class Overlap:
    """How many labels a dataset has where an image may have several."""

    n_sets: int  # distinct sets of labels
    n_labels: int  # of all images


@dataclass(frozen=True)
class Shape:
    """The numbers that decide how much memory a task needs."""

    n_images: int
    n_classes: int
    layout: ColumnsLayout
    settings: Measure
    overlap: Overlap | None = None  # None: every image has one label

    @property
    def n_counted(self) -> int:
        """Histograms of a unit: of the classes and, where these overlap, of all images before."""
        return self.n_classes + (self.overlap is not None)

    @property
    def n_labels(self) -> int:
        """The number of different labels that an image has one of: classes, or sets of them."""
        return self.n_classes if self.overlap is None else self.overlap.n_sets

    @property
    def labelings(self) -> int:
        """The number of labelings: the true labels and the shuffles."""
        return 1 + self.settings.shuffles


@dataclass(frozen=True)
class Piece:
    """Rows ``start`` to ``stop`` of one file of ``embeddings``."""

    part: str
    start: int
    stop: int

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.stop - self.start


@dataclass(frozen=True)
class Cut:
    """How one dataset is measured: the slices (first unit, stop) of every layer."""

    way: Way
    slices: tuple[tuple[tuple[int, int], ...], ...]


def cut(shape: Shape) -> Cut:
    """Choose the way and the slices.

    Raises :class:`ConfigError` if exact distances are wanted and not one unit fits in memory.
    """
    most = [_units_that_fit(shape, depth) for depth in range(len(shape.layout.widths))]
    if min(most) < 1:
        return Cut(Way.ROWS, _slices(shape, [_units_by_rows(shape)] * len(most)))
    slices = _slices(shape, most)
    whole = all(len(layer) <= _MOST_SLICES for layer in slices)
    return Cut(Way.WHOLE if whole else Way.COLUMNS, slices)


def _slices(shape: Shape, most: Sequence[int]) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(
        tuple(slices_of(width, units))
        for width, units in zip(shape.layout.widths, most, strict=True)
    )


def slices_of(width: int, most: int) -> list[tuple[int, int]]:
    """Cut ``width`` units into the fewest slices of at most ``most`` units, all about as wide."""
    n_slices = -(-width // most)
    edges = [width * i // n_slices for i in range(n_slices + 1)]
    return list(pairwise(edges))


# -- memory --------------------------------------------------------------------------------------


def _units_that_fit(shape: Shape, depth: int) -> int:
    """The largest number of units that a slice of a layer may have; 0 if not even one fits."""
    one = shape.layout.bytes_of_a_unit(depth) * shape.n_images
    free = shape.settings.memory_bytes - _bytes_of_a_task(shape)
    return max(0, min(free // one, max(1, _MOST_VALUES_OF_A_SLICE // shape.n_images)))


def _bytes_of_a_task(shape: Shape) -> int:
    """The memory of a task apart from its units: ids, labels, scratch space and counts."""
    ids = 16 + 4 + 28  # keys and labels; then hashes, order and labels while classes are shuffled
    sort = 24 if shape.settings.exact else 0
    images = shape.n_images * (ids + sort + 4 * labelings_at_once(shape))
    if shape.overlap is not None:  # the sets, and where each label has its place in the order
        images += 8 * shape.overlap.n_sets + 4 * shape.overlap.n_labels
        images += (16 if shape.settings.exact else 0) * shape.overlap.n_labels
    survival = 4 * 2 * 101 * shape.n_classes * shape.labelings
    # A block of histograms and the tables made of it may take an eighth of the memory each.
    return images + survival + 2 * shape.settings.memory_bytes // 8


def labelings_at_once(shape: Shape) -> int:
    """The number of labelings that a task holds at once, in an eighth of its memory.

    For each such group, exact distances sort all values again.
    """
    return max(1, min(shape.labelings, shape.settings.memory_bytes // 8 // (4 * shape.n_images)))


def units_of_a_block(shape: Shape) -> int:
    """The number of units whose histograms are made at a time: about 2 MiB, at least one unit.

    That much stays in a processor's own cache from counting to writing. With blocks of 64 MiB,
    measuring took two to three times as long.
    """
    size = min(shape.settings.memory_bytes // 8, 1 << 21)
    return max(1, size // (4 * shape.n_counted * shape.settings.bins))


def _units_by_rows(shape: Shape) -> int:
    """The number of units of a slice whose counts fill a quarter of the memory.

    The counts are those of all labelings. Raises :class:`ConfigError` if exact distances are
    wanted.
    """
    if shape.settings.exact:
        raise ConfigError(
            f"measure.exact: must be false for {shape.n_images} images within measure.memory "
            f"{shape.settings.memory}, or that larger: an exact distance needs all values of a "
            f"feature in one task, got true"
        )
    counts = 4 * shape.n_counted * shape.settings.bins * shape.labelings
    return max(1, shape.settings.memory_bytes // 4 // counts)


# -- rows ----------------------------------------------------------------------------------------


def row_ranges(shape: Shape, rows_of: dict[str, int]) -> list[tuple[Piece, ...]]:
    """Cut the files (path -> number of rows) into ranges of rows, one a task of ``rechunk``.

    A range takes at most half of the memory, and is smaller if there would be fewer than 64.
    """
    fitting = shape.settings.memory_bytes // 2 // shape.layout.bytes_of_an_image
    enough = max(_FEWEST_ROWS_OF_A_RANGE, -(-shape.n_images // _RANGES))
    most = max(1, min(fitting, enough))
    ranges: list[list[Piece]] = [[]]
    room = most
    for part, rows in rows_of.items():
        start = 0
        while start < rows:
            if not room:
                ranges.append([])
                room = most
            stop = min(rows, start + room)
            ranges[-1].append(Piece(part, start, stop))
            room -= stop - start
            start = stop
    return [tuple(pieces) for pieces in ranges]


def layout_of(widths: Sequence[int], dtypes: Sequence[str], settings: Measure) -> ColumnsLayout:
    """The layout of scratch files: codes for ``settings``, and values for exact distances.

    ``widths`` and ``dtypes`` are the number of units and the type of the values of each layer.
    """
    values = tuple(dtype if settings.exact else None for dtype in dtypes)
    return ColumnsLayout(tuple(widths), np.dtype(codes_dtype(settings.bins)).name, values)

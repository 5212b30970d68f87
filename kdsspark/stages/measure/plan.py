"""How a dataset is cut so that every task of ``measure`` stays within its memory (driver).

Three ways, by the number of images alone, so that a plan is the same on every cluster:

``WHOLE``    A slice of at least half a layer fits: tasks read the layer from ``embeddings``, which
             then is read at most twice.
``COLUMNS``  Only narrower slices fit: the rows are turned to columns once, and tasks read their
             units from there.
``ROWS``     Not even one unit fits, over all images: tasks count ranges of rows, and the counts are
             added up. Counts add up, exact distances do not: those are not offered here.
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

_MOST_SLICES: Final = 2  # of a layer that is read from `embeddings`: how often it may be read
_VALUES_OF_A_SLICE: Final = 100_000_000  # some seconds of work, so that cores end together
_RANGES: Final = 64  # of rows, if memory allows so few: enough for many cores
_ROWS_OF_A_SMALL_RANGE: Final = 256


class Way(Enum):
    """Where slices take their codes from; see above."""

    WHOLE = "whole"
    COLUMNS = "columns"
    ROWS = "rows"


@dataclass(frozen=True)
class Shape:
    """What the memory of a task depends on."""

    n_images: int
    n_classes: int
    layout: ColumnsLayout
    settings: Measure

    @property
    def labelings(self) -> int:
        """The true labels and the shuffles."""
        return 1 + self.settings.shuffles


@dataclass(frozen=True)
class Piece:
    """Rows ``start`` to ``stop`` of one file of ``embeddings``."""

    part: str
    start: int
    stop: int

    @property
    def n_rows(self) -> int:
        """How many they are."""
        return self.stop - self.start


@dataclass(frozen=True)
class Cut:
    """How one dataset is measured: slices (first unit, last) of every layer."""

    way: Way
    slices: tuple[tuple[tuple[int, int], ...], ...]


def cut(shape: Shape) -> Cut:
    """Choose the way and the slices.

    Raises :class:`ConfigError` where exact distances are asked for and do not fit.
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
    """Cut ``width`` units into as few equal slices as keep each at ``most`` units."""
    n_slices = -(-width // most)
    edges = [width * i // n_slices for i in range(n_slices + 1)]
    return list(pairwise(edges))


# -- memory --------------------------------------------------------------------------------------


def _units_that_fit(shape: Shape, depth: int) -> int:
    """Units of a layer that a slice may have; 0 where not even one fits."""
    one = shape.layout.bytes_of_a_unit(depth) * shape.n_images
    free = shape.settings.memory_bytes - _bytes_of_a_task(shape)
    return max(0, min(free // one, max(1, _VALUES_OF_A_SLICE // shape.n_images)))


def _bytes_of_a_task(shape: Shape) -> int:
    """What a task holds whatever its units: ids and labels, scratch space, counts."""
    ids = 16 + 4 + 28  # keys, classes; and while a shuffle is dealt, hashes, order, labels
    sort = 24 if shape.settings.exact else 0
    images = shape.n_images * (ids + sort + 4 * labelings_at_once(shape))
    survival = 4 * 2 * 101 * shape.n_classes * shape.labelings
    return images + survival + 2 * shape.settings.memory_bytes // 8  # a block, and its tables


def labelings_at_once(shape: Shape) -> int:
    """Labelings that a task holds together; every group of them sorts the values once more."""
    return max(1, min(shape.labelings, shape.settings.memory_bytes // 8 // (4 * shape.n_images)))


def units_of_a_block(shape: Shape) -> int:
    """Units whose histograms are made at a time: about 2 MiB of them, or a single unit's.

    That much stays in a processor's own cache from counting to writing: with blocks of 64 MiB,
    measuring took two to three times as long.
    """
    size = min(shape.settings.memory_bytes // 8, 1 << 21)
    return max(1, size // (4 * shape.n_classes * shape.settings.bins))


def _units_by_rows(shape: Shape) -> int:
    """Units of a slice whose counts, of all labelings, fill a quarter of the memory."""
    if shape.settings.exact:
        raise ConfigError(
            f"measure.exact: must be false for {shape.n_images} images within measure.memory "
            f"{shape.settings.memory}, or that larger: an exact distance needs all values of a "
            f"feature in one task, got true"
        )
    counts = 4 * shape.n_classes * shape.settings.bins * shape.labelings
    return max(1, shape.settings.memory_bytes // 4 // counts)


# -- rows ----------------------------------------------------------------------------------------


def row_ranges(shape: Shape, rows_of: dict[str, int]) -> list[tuple[Piece, ...]]:
    """Cut the files (path -> rows) into ranges of rows that one task turns to columns.

    A range takes half the memory at most, and less where that gives fewer than 64 ranges.
    """
    fitting = shape.settings.memory_bytes // 2 // shape.layout.bytes_of_an_image
    enough = max(_ROWS_OF_A_SMALL_RANGE, -(-shape.n_images // _RANGES))
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
    """The codes that ``settings`` ask for, and the values where exact distances are wanted."""
    values = tuple(dtype if settings.exact else None for dtype in dtypes)
    return ColumnsLayout(tuple(widths), np.dtype(codes_dtype(settings.bins)).name, values)

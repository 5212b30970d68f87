"""Turn rows of ``embeddings`` into columns: in memory for one slice, or to files for many.

If slices are narrower than half a layer, reading them from ``embeddings`` would mean reading every
layer many times. So each range of rows is read once and written in column order (:mod:`.columns`),
and a slice then reads its own units. Columns hold the bin of every value and, for exact distances,
the values.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.errors import InvariantError
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values, image_keys
from kdsspark.output.store import Store
from kdsspark.stages import label_sets
from kdsspark.stages.label_sets import DatasetSets
from kdsspark.stages.measure import columns
from kdsspark.stages.measure.columns import ColumnsLayout
from kdsspark.stages.measure.plan import Piece
from kdsspark.stats.bins import bin_codes, fill_columns
from kdsspark.stats.several.label_sets import LabelSets

_READERS: Final = 8


@dataclass(frozen=True, eq=False)
class LayerSlice:
    """Units ``start`` to ``stop`` of a layer, with their limits ``lo`` and ``hi``, [units] each."""

    layer: str
    depth: int
    start: int
    stop: int
    lo: npt.NDArray[np.float64]
    hi: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """A stable name that is safe for a file, unlike that of the layer."""
        return slice_name(self.depth, self.start, self.stop)


def slice_name(depth: int, start: int, stop: int) -> str:
    """``layer-013-units-00000-04096``; names sort in the order of the features."""
    return f"layer-{depth:03d}-units-{start:05d}-{stop:05d}"


@dataclass(frozen=True, eq=False)
class Columns:
    """Some features of some images, in column order."""

    keys: npt.NDArray[np.uint64]  # [images, 2], the two halves of each id
    labels: npt.NDArray[np.int32]  # [images], class_id or the number of a set of labels
    blocks: tuple[columns.Block, ...]  # of each slice
    sets: LabelSets | None = None  # where an image may have several labels

    @staticmethod
    def empty(
        images: int,
        layout: ColumnsLayout,
        slices: Sequence[LayerSlice],
        sets: LabelSets | None = None,
    ) -> Columns:
        """Arrays for ``images`` images, to be filled."""
        blocks = [
            (np.empty(shape, layout.code), np.empty(shape, value) if value else None)
            for s in slices
            for shape, value in [((s.stop - s.start, images), layout.values[s.depth])]
        ]
        keys, labels = np.empty((images, 2), np.uint64), np.empty(images, np.int32)
        return Columns(keys, labels, tuple(blocks), sets)


@dataclass(frozen=True)
class ColumnsFile:
    """A scratch file in column order, and the number of images in it."""

    path: str
    images: int


@dataclass(frozen=True)
class RechunkJob:
    """What the ranges of rows of one pair share."""

    store: Store
    layout: ColumnsLayout
    bins: int
    layers: tuple[LayerSlice, ...]  # every layer whole
    sets_of: str | None = None  # the dataset, where an image may have several labels


@dataclass(frozen=True, kw_only=True)
class RowRange(WorkItem):
    """A range of rows, to be written in column order."""

    job: RechunkJob
    pieces: tuple[Piece, ...]
    path: str  # the scratch file


def rechunk(item: RowRange) -> Outcome:
    """Write one range of rows to a scratch file in column order (executor)."""
    job, pieces, path = item.job, item.pieces, item.path
    start = time.perf_counter()
    sets = None if job.sets_of is None else label_sets.read(job.store, job.sets_of)
    found = read_rows(job.store, pieces, job.layout, job.bins, job.layers, sets)
    read = time.perf_counter()
    columns.write(job.store, path, found.keys, found.labels, found.blocks)
    done = time.perf_counter()
    return Outcome({"images": len(found.labels)}, {"read": read - start, "write": done - read})


def read_rows(
    store: Store,
    pieces: Sequence[Piece],
    layout: ColumnsLayout,
    bins: int,
    slices: Sequence[LayerSlice],
    sets: DatasetSets | None = None,
) -> Columns:
    """Read some rows once, and turn slices of their layers into columns (executor).

    ``sets`` are those of the dataset where an image may have several labels. Raises
    :class:`InvariantError` if the files do not have the rows that ``pieces`` name.
    """
    label = "class_id" if sets is None else "class_name"
    names = ["image_id", label, *(s.layer for s in slices)]
    n_images = sum(piece.n_rows for piece in pieces)
    result, row = Columns.empty(n_images, layout, slices, None if sets is None else sets.sets), 0
    for piece in pieces:
        for group in parquet.row_groups(store, piece.part, names, piece.start, piece.stop):
            rows = slice(row, row + len(group))
            result.keys[rows] = image_keys(group["image_id"])
            labels = group[label]
            result.labels[rows] = labels.to_numpy() if sets is None else sets.numbers(labels)
            for cut, block in zip(slices, result.blocks, strict=True):
                values = flat_values(group[cut.layer]).reshape(len(group), -1)
                turn(values[:, cut.start : cut.stop], cut, bins, block, rows)
            row = rows.stop
    if row != n_images:
        parts = ", ".join(sorted({piece.part for piece in pieces}))
        raise InvariantError(f"{parts} must have {n_images} rows by the receipts, got {row}")
    return result


def turn(
    values: npt.NDArray[Any], cut: LayerSlice, bins: int, block: columns.Block, rows: slice
) -> None:
    """Write ``values`` [images, units] into the images ``rows`` of a block."""
    codes, kept = block
    bin_codes(values, cut.lo, cut.hi, bins, codes[:, rows])
    if kept is not None:
        fill_columns(values, kept[:, rows])


def read_columns(
    store: Store,
    files: Sequence[ColumnsFile],
    layout: ColumnsLayout,
    cut: LayerSlice,
    sets: LabelSets | None = None,
) -> Columns:
    """Read one slice over all images from the scratch files (executor)."""
    ends = np.cumsum([file.images for file in files]).tolist()
    result = Columns.empty(ends[-1], layout, [cut], sets)

    def fill(file: ColumnsFile, end: int) -> None:
        rows = slice(end - file.images, end)
        keys, labels = columns.read_ids(store, file.path, file.images)
        result.keys[rows], result.labels[rows] = keys, labels
        into = [None if part is None else part[:, rows] for part in result.blocks[0]]
        units = (cut.start, cut.stop)
        columns.read_units(store, file.path, file.images, layout, cut.depth, units, into)

    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(fill, files, ends))
    return result

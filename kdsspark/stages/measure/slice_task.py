"""Measure one slice of one layer: read it once, count, compare and write (executor)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import label_sets
from kdsspark.stages.label_sets import DatasetSets
from kdsspark.stages.measure import plan as measure_plan
from kdsspark.stages.measure.parts import ROWS_OF_A_GROUP, Labeling, SliceParts, open_parts
from kdsspark.stages.measure.plan import Piece, Shape
from kdsspark.stages.measure.rechunk import (
    Columns,
    ColumnsFile,
    LayerSlice,
    read_columns,
    read_rows,
)
from kdsspark.stats.bins import Codes
from kdsspark.stats.histograms import class_histograms
from kdsspark.stats.ks import exact_ks
from kdsspark.stats.ranges import Ranges
from kdsspark.stats.ranks import Comparison, compare_classes
from kdsspark.stats.several.comparing import compare_sets, exact_ks_of_sets
from kdsspark.stats.several.label_sets import LabelSets, set_histograms
from kdsspark.stats.shuffles import shuffled_labels


@dataclass(frozen=True)
class MeasureJob:
    """What the slices of one pair share.

    A slice is read from the scratch files in column order if there are any, else from the pieces of
    ``embeddings``.
    """

    output: Output
    pair: Pair
    shape: Shape
    pieces: tuple[Piece, ...] = ()
    files: tuple[ColumnsFile, ...] = ()

    def read(self, cut: LayerSlice) -> Columns:
        """Read a slice over all images."""
        layout, bins, sets = self.shape.layout, self.shape.settings.bins, self.sets()
        if self.files:
            return read_columns(
                self.output, self.files, layout, cut, None if sets is None else sets.sets
            )
        return read_rows(self.output, self.pieces, layout, bins, [cut], sets)

    def sets(self) -> DatasetSets | None:
        """The sets of labels of the dataset where an image may have several."""
        overlaps = self.shape.overlap is not None
        return label_sets.read(self.output, self.pair.dataset) if overlaps else None


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasureSlice(WorkItem):
    """One slice of one layer."""

    job: MeasureJob
    slice: LayerSlice
    ranges: Ranges  # of its units


def measure_slice(item: MeasureSlice) -> Outcome:
    """Write a slice's parts of the tables that :func:`.parts.written` names, and its summaries."""
    job, cut, ranges = item.job, item.slice, item.ranges
    start = time.perf_counter()
    columns = job.read(cut)
    read = time.perf_counter()
    with open_parts(job.output, job.pair, job.shape.settings, cut) as parts:
        parts.write_ranges(ranges)
        measure_columns(job.shape, columns, cut, parts)
    done = time.perf_counter()
    counts = {"images": job.shape.n_images, "features": cut.stop - cut.start}
    return Outcome(counts, {"read": read - start, "compute and write": done - read})


def measure_columns(shape: Shape, columns: Columns, cut: LayerSlice, parts: SliceParts) -> None:
    """Measure a slice that has been read, and write everything but its ranges."""
    for labelings in _labelings(shape, columns):
        for first, last in blocks(shape, cut):
            _measure_block(shape, columns, (first, last), labelings, parts)
            parts.flush(ROWS_OF_A_GROUP)
        parts.flush()


def _labelings(shape: Shape, columns: Columns) -> Iterator[list[Labeling]]:
    """The true labels and every shuffle, in groups that fit in memory."""
    size, seed = measure_plan.labelings_at_once(shape), shape.settings.seed
    for first in range(0, shape.labelings, size):
        yield [
            (shuffle, shuffled_labels(columns.keys, columns.labels, seed, shuffle))
            for shuffle in range(first, min(first + size, shape.labelings))
        ]


def blocks(shape: Shape, cut: LayerSlice) -> Iterator[tuple[int, int]]:
    """Cut a slice into blocks (first, stop), places within it, whose histograms fit in memory."""
    size, width = measure_plan.units_of_a_block(shape), cut.stop - cut.start
    for first in range(0, width, size):
        yield first, min(first + size, width)


def _measure_block(
    shape: Shape,
    columns: Columns,
    block: tuple[int, int],
    labelings: Sequence[Labeling],
    parts: SliceParts,
) -> None:
    """Make the histograms and distances of a block of units, places within the slice."""
    first, last = block
    codes, values = columns.blocks[0]
    exact: dict[int, npt.NDArray[np.float64]] = {}
    kept = {shuffle: labels for shuffle, labels in labelings if parts.keeps(shuffle)}
    compared = None
    if values is not None and kept:
        of_kept = np.stack(list(kept.values()))
        found, compared = _compare(shape, columns.sets, values[first:last], of_kept, 0 in kept)
        exact = dict(zip(kept, found, strict=True))
    for shuffle, labels in labelings:
        counts, totals = apart(shape, histograms(shape, columns.sets, codes[first:last], labels))
        more = None if shuffle else compared
        parts.write(first, shuffle, counts, exact.get(shuffle), more, totals)


# -- one label an image, or several ----------------------------------------------------------------


def histograms(
    shape: Shape, sets: LabelSets | None, codes: Codes, labels: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Histograms of a block of units: int32 [units, ``shape.n_counted``, bins]."""
    bins = shape.settings.bins
    if sets is None:
        return class_histograms(codes, labels, shape.n_classes, bins)
    return set_histograms(codes, labels, sets, bins)


def apart(
    shape: Shape, counts: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32] | None]:
    """Those of the classes, and those of all images where the classes overlap."""
    return (counts, None) if shape.overlap is None else (counts[:, 1:], counts[:, 0])


def _compare(
    shape: Shape,
    sets: LabelSets | None,
    values: npt.NDArray[Any],
    labels: npt.NDArray[np.int32],
    with_true: bool,
) -> tuple[npt.NDArray[np.float64], Comparison | None]:
    """Exact distances of all ``labels`` [labelings, images]; more of the first if it is true."""
    if sets is None:
        given = values, labels, shape.n_classes
        return compare_classes(*given) if with_true else (exact_ks(*given), None)
    of_sets = values, labels, sets
    return compare_sets(*of_sets) if with_true else (exact_ks_of_sets(*of_sets), None)

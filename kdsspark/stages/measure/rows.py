"""A dataset too large for any task to hold one unit: counts of row ranges, added up by Spark.

Histograms add up, so a task counts one slice over one file of columns, and Spark's grouped
aggregation adds the counts of each slice. What is not a sum, the distance, follows once, from the
complete counts. The labels of a shuffle follow from the few images with which its classes begin;
they are found first, in two passes over the ids (:mod:`kdsspark.stats.shuffles`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import add

import numpy as np
import numpy.typing as npt
from pyspark import RDD, SparkContext
from pyspark.sql import SparkSession

from kdsspark.engine import work as units
from kdsspark.engine.work import Outcome, Unit
from kdsspark.output import receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages.measure import columns
from kdsspark.stages.measure.parts import ROWS_OF_A_GROUP, open_parts
from kdsspark.stages.measure.rechunk import ColumnsFile, LayerSlice, read_columns
from kdsspark.stages.measure.slice_task import MeasureJob, blocks
from kdsspark.stats.bins import Ranges
from kdsspark.stats.histograms import class_histograms
from kdsspark.stats.shuffles import (
    Boundaries,
    Candidates,
    HashCounts,
    count_hashes,
    deal,
    find_boundaries,
    find_candidates,
)

Counts = npt.NDArray[np.int32]
"""Images per bin: [labelings, units, classes, bins]."""


def run(session: SparkSession, store: Store, slices: Sequence[Unit]) -> list[Receipt]:
    """Measure the slices that are not done (driver)."""
    return units.run(
        session, store, receipts.MEASURE, slices, _finish, "features", spread=_count_by_rows
    )


def _count_by_rows(context: SparkContext, slices: Sequence[Unit]) -> RDD[Unit]:
    """The slices, each with its counts over all rows at the end of its work."""
    jobs = {unit.work[0].pair: unit.work[0] for unit in slices}
    dealt = {pair: _boundaries(context, job) for pair, job in jobs.items()}
    # A piece names its own file: with those of all the others, pieces would be as large as many.
    alone = {pair: replace(job, pieces=(), files=()) for pair, job in jobs.items()}
    pieces = [
        (unit.name, _Piece(alone[job.pair], cut, file, dealt[job.pair]))
        for unit in slices
        for job, cut, _ in [unit.work]
        for file in job.files
    ]
    counted = context.parallelize(pieces, len(pieces)).mapValues(_count)
    complete = counted.reduceByKey(add, len(slices))
    return complete.map(partial(_with_counts, {unit.name: unit for unit in slices}))


def _with_counts(slices: Mapping[str, Unit], counted: tuple[str, Counts]) -> Unit:
    name, counts = counted
    return replace(slices[name], work=(*slices[name].work, counts))


@dataclass(frozen=True, eq=False)
class _Piece:
    """One slice over the rows of one file of columns."""

    job: MeasureJob
    cut: LayerSlice
    file: ColumnsFile
    boundaries: Sequence[Boundaries]  # of the first shuffle and the following


def _count(piece: _Piece) -> Counts:
    """The histograms of one slice over some rows, for all labelings (executor)."""
    shape = piece.job.shape
    found = read_columns(piece.job.store, [piece.file], shape.layout, piece.cut)
    codes, _ = found.blocks[0]
    size = (shape.labelings, len(codes), shape.n_classes, shape.settings.bins)
    counts = np.empty(size, np.int32)
    for shuffle in range(shape.labelings):
        labels = found.labels
        if shuffle:
            boundaries = piece.boundaries[shuffle - 1]
            labels = deal(found.keys, boundaries, shape.settings.seed, shuffle)
        counts[shuffle] = class_histograms(codes, labels, shape.n_classes, shape.settings.bins)
    return counts


def _finish(work: tuple[MeasureJob, LayerSlice, Ranges, Counts]) -> Outcome:
    """Write the parts of a slice from its complete counts (executor)."""
    job, cut, ranges, counts = work
    with open_parts(job.store, job.pair, job.shape.settings, cut) as parts:
        parts.write_ranges(ranges)
        for first, last in blocks(job.shape, cut):
            for shuffle, counted in enumerate(counts[:, first:last]):
                parts.write(first, shuffle, counted, None)
            parts.flush(ROWS_OF_A_GROUP)
        parts.flush()
    return Outcome({"images": job.shape.n_images, "features": cut.stop - cut.start})


# -- where the classes of each shuffle begin -----------------------------------------------------


def _boundaries(context: SparkContext, job: MeasureJob) -> list[Boundaries]:
    """Of every shuffle, the first included; each pass one Spark job over the files (driver)."""
    files = context.parallelize(job.files, len(job.files))
    sizes, counts = files.map(partial(_first_pass, job)).treeReduce(_merge_counts)
    buckets = [found.at_boundaries(sizes) for found in counts]
    candidates = files.map(partial(_second_pass, job, buckets)).treeReduce(_merge_candidates)
    return [
        find_boundaries(sizes, counted, found)
        for counted, found in zip(counts, candidates, strict=True)
    ]


_FirstPass = tuple[npt.NDArray[np.int64], list[HashCounts]]
"""Images of each class; and by shuffle, the counts of their hashes."""


def _first_pass(job: MeasureJob, file: ColumnsFile) -> _FirstPass:
    keys, labels = columns.read_ids(job.store, file.path, file.images)
    seed, shuffles = job.shape.settings.seed, range(1, job.shape.labelings)
    sizes = np.bincount(labels, minlength=job.shape.n_classes)
    return sizes, [count_hashes(keys, seed, shuffle) for shuffle in shuffles]


def _second_pass(
    job: MeasureJob, buckets: Sequence[npt.NDArray[np.int64]], file: ColumnsFile
) -> list[Candidates]:
    keys, _ = columns.read_ids(job.store, file.path, file.images)
    return [
        find_candidates(keys, some, job.shape.settings.seed, shuffle)
        for shuffle, some in enumerate(buckets, start=1)
    ]


def _merge_counts(first: _FirstPass, second: _FirstPass) -> _FirstPass:
    merged = [a.merge(b) for a, b in zip(first[1], second[1], strict=True)]
    return first[0] + second[0], merged


def _merge_candidates(first: list[Candidates], second: list[Candidates]) -> list[Candidates]:
    return [a.merge(b) for a, b in zip(first, second, strict=True)]

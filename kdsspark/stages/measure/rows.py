"""Measure a dataset of which no task can hold even one unit: count ranges of rows, and add up.

Histograms add up. So a task counts one slice over one scratch file, and Spark adds the counts of
each slice. A distance does not add up. It is computed once, from the complete counts.

A task that sees a part of the images cannot shuffle their labels as others do. But the labels of a
shuffle follow from the image with which each class begins in the random order, and two passes over
the ids find those first (:mod:`kdsspark.stats.shuffles`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from kdsspark.engine.aggregate import summed_first
from kdsspark.engine.fold import fold
from kdsspark.engine.items import Outcome
from kdsspark.engine.work import Session, run_items
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.stages import MEASURE
from kdsspark.stages.measure import columns
from kdsspark.stages.measure.parts import ROWS_OF_A_GROUP, open_parts
from kdsspark.stages.measure.rechunk import ColumnsFile, LayerSlice, read_columns
from kdsspark.stages.measure.slice_task import (
    MeasureJob,
    MeasureSlice,
    apart,
    blocks,
    histograms,
)
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
"""Images per bin: [labelings, units, ``n_counted`` of the shape, bins]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CountedSlice(MeasureSlice):
    """One slice, with its counts over all images once they are added up."""

    counts: Counts | None = None


@dataclass(frozen=True, eq=False)
class SlicePiece:
    """One slice over the images of one scratch file."""

    job: MeasureJob
    slice: LayerSlice
    file: ColumnsFile
    boundaries: Sequence[Boundaries]  # of each shuffle, from the first


def run(session: Session, output: Output, slices: Sequence[MeasureSlice]) -> None:
    """Measure the slices that are not done (driver)."""
    items = [CountedSlice(**vars(item)) for item in slices]
    spread = summed_first(_pieces, count_piece, _with_counts)
    run_items(session, MEASURE.receipts(output), items, finish_slice, "features", spread)


def _pieces(session: Session, items: Sequence[CountedSlice]) -> list[tuple[ItemName, SlicePiece]]:
    jobs = {item.job.pair: item.job for item in items}
    dealt = _boundaries(session, jobs)
    # Each piece carries its own file only; with all files of the job, the pieces together would
    # grow with the square of their number.
    alone = {pair: replace(job, pieces=(), files=()) for pair, job in jobs.items()}
    return [
        (item.name, SlicePiece(alone[item.job.pair], item.slice, file, dealt[item.job.pair]))
        for item in items
        for file in item.job.files
    ]


def _with_counts(item: CountedSlice, counts: Counts) -> CountedSlice:
    return replace(item, counts=counts)


def count_piece(piece: SlicePiece) -> Counts:
    """Count the histograms of one slice over some images, for all labelings (executor)."""
    shape = piece.job.shape
    found = read_columns(piece.job.output, [piece.file], shape.layout, piece.slice)
    codes, _ = found.blocks[0]
    sets = piece.job.sets()
    size = (shape.labelings, len(codes), shape.n_counted, shape.settings.bins)
    counts = np.empty(size, np.int32)
    for shuffle in range(shape.labelings):
        labels = found.labels
        if shuffle:
            boundaries = piece.boundaries[shuffle - 1]
            labels = deal(found.keys, boundaries, shape.settings.seed, shuffle)
        counts[shuffle] = histograms(shape, None if sets is None else sets.sets, codes, labels)
    return counts


def finish_slice(item: CountedSlice) -> Outcome:
    """Write the parts of a slice from its complete counts (executor)."""
    job, cut, counts = item.job, item.slice, item.counts
    if counts is None:
        raise ValueError(f"{item.name} must have its counts, got none")
    with open_parts(job.output, job.pair, job.shape.settings, cut) as parts:
        parts.write_ranges(item.ranges)
        for first, last in blocks(job.shape, cut):
            for shuffle, counted in enumerate(counts[:, first:last]):
                counts_of_classes, totals = apart(job.shape, counted)
                parts.write(first, shuffle, counts_of_classes, None, totals=totals)
            parts.flush(ROWS_OF_A_GROUP)
        parts.flush()
    return Outcome({"images": job.shape.n_images, "features": cut.stop - cut.start})


# -- where the classes of each shuffle begin -----------------------------------------------------


def _boundaries(session: Session, jobs: dict[Pair, MeasureJob]) -> dict[Pair, list[Boundaries]]:
    """Pair -> where the classes of each shuffle begin, by two passes over the files (driver)."""
    files = {pair: job.files for pair, job in jobs.items()}
    counted = fold(session, "labels", files, partial(_first_pass, jobs), _merge_counts, 1)
    buckets = {
        pair: [found.at_boundaries(sizes) for found in counts]
        for pair, (sizes, counts) in counted.items()
    }
    second = partial(_second_pass, jobs, buckets)
    candidates = fold(session, "labels", files, second, _merge_candidates, 1)
    return {
        pair: [
            find_boundaries(sizes, count, found)
            for count, found in zip(counts, candidates[pair], strict=True)
        ]
        for pair, (sizes, counts) in counted.items()
    }


_FirstPass = tuple[npt.NDArray[np.int64], list[HashCounts]]
"""The number of images of each class, or set of labels, and the hash counts of each shuffle."""


def _first_pass(
    jobs: dict[Pair, MeasureJob], pair: Pair, file: ColumnsFile
) -> Iterator[_FirstPass]:
    job = jobs[pair]
    keys, labels = columns.read_ids(job.output, file.path, file.images)
    seed, shuffles = job.shape.settings.seed, range(1, job.shape.labelings)
    sizes = np.bincount(labels, minlength=job.shape.n_labels)
    yield sizes, [count_hashes(keys, seed, shuffle) for shuffle in shuffles]


def _second_pass(
    jobs: dict[Pair, MeasureJob],
    buckets: dict[Pair, list[npt.NDArray[np.int64]]],
    pair: Pair,
    file: ColumnsFile,
) -> Iterator[list[Candidates]]:
    job = jobs[pair]
    keys, _ = columns.read_ids(job.output, file.path, file.images)
    yield [
        find_candidates(keys, some, job.shape.settings.seed, shuffle)
        for shuffle, some in enumerate(buckets[pair], start=1)
    ]


def _merge_counts(first: _FirstPass, second: _FirstPass) -> _FirstPass:
    merged = [a.merge(b) for a, b in zip(first[1], second[1], strict=True)]
    return first[0] + second[0], merged


def _merge_candidates(first: list[Candidates], second: list[Candidates]) -> list[Candidates]:
    return [a.merge(b) for a, b in zip(first, second, strict=True)]

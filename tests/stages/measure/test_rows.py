"""Counts of ranges of rows: their sum is what counting at once gives, shuffles included."""

from __future__ import annotations

from dataclasses import replace
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark.output import parquet
from kdsspark.stages.measure import plan, rows
from kdsspark.stages.measure.plan import Piece
from kdsspark.stages.measure.rows import CountedSlice, SlicePiece, count_piece, finish_slice
from kdsspark.stages.measure.slice_task import MeasureJob, measure_slice
from kdsspark.stats.shuffles import shuffled_labels
from kdsspark.tables import HISTOGRAMS, KS, RANGES
from tests import reference
from tests.stages import here
from tests.stages.embedded import PAIR, Embedded, awkward, embed
from tests.stages.measure.jobs import by_columns, measure_job, measured_slice

IMAGES, CLASSES, SHUFFLES, SEED, BINS = 50, 5, 3, 4, 8


@pytest.fixture
def data(tmp_path: Path) -> Embedded:
    labels = np.random.default_rng(3).choice([0, 1, 3, 4], IMAGES)  # none of class 2
    return embed(tmp_path, awkward(IMAGES), labels.tolist(), [21, 29])


@pytest.fixture
def job(data: Embedded, monkeypatch: pytest.MonkeyPatch) -> MeasureJob:
    monkeypatch.setattr(rows, "fold", here.fold)
    one = measure_job(data, bins=BINS, shuffles=SHUFFLES, seed=SEED, exact=False)
    first, second = data.parts
    ranges = [(Piece(first, 0, 8),), (Piece(first, 8, 21), Piece(second, 0, 1))]
    return by_columns(data, one, *ranges, (Piece(second, 1, 29),))


def pieces(job: MeasureJob, item: Any) -> list[SlicePiece]:
    counted = CountedSlice(**vars(item))
    return [piece for _, piece in rows._pieces(None, [counted])]


def test_the_labels_of_a_shuffle_are_found_by_two_passes(data: Embedded, job: MeasureJob) -> None:
    item = measured_slice(data, job, "relu", 0, 9)
    found = pieces(job, item)
    assert [piece.file for piece in found] == list(job.files)
    for piece in found:
        assert piece.job.files == ()
        assert len(piece.boundaries) == SHUFFLES
    for shuffle, boundaries in enumerate(found[0].boundaries, start=1):
        labels = shuffled_labels(data.keys, data.labels, SEED, shuffle)
        dealt = rows.deal(data.keys, boundaries, SEED, shuffle)
        np.testing.assert_array_equal(dealt, labels)


@pytest.mark.parametrize(
    ("layer", "start", "stop"), [("relu", 0, 9), ("relu", 4, 6), ("double", 0, 2)]
)
def test_counts_of_pieces_add_up(
    data: Embedded, job: MeasureJob, layer: str, start: int, stop: int
) -> None:
    found = [
        count_piece(piece) for piece in pieces(job, measured_slice(data, job, layer, start, stop))
    ]
    assert [one[0].sum() for one in found] != [0, 0, 0]
    codes = reference.codes(data.layers[layer], BINS)[:, start:stop]
    total = found[0] + found[1] + found[2]
    assert total.shape == (1 + SHUFFLES, stop - start, CLASSES, BINS)
    for shuffle in range(1 + SHUFFLES):
        labels = shuffled_labels(data.keys, data.labels, SEED, shuffle)
        for unit, class_id in np.ndindex(stop - start, CLASSES):
            of_class = codes[labels == class_id, unit]
            expected = np.bincount(of_class[of_class < BINS], minlength=BINS)
            np.testing.assert_array_equal(total[shuffle, unit, class_id], expected)


@pytest.mark.parametrize("units", [1, 4, 99])
def test_a_finished_slice_is_the_slice_measured_at_once(
    data: Embedded, job: MeasureJob, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    monkeypatch.setattr(plan, "units_of_a_block", lambda _: units)
    item = measured_slice(data, job, "relu", 0, 9)
    paths = [
        table.part(item.name.part, *PAIR, *labels)
        for table, labels in [(RANGES, ()), (HISTOGRAMS, ()), (KS, ("true",)), (KS, ("shuffled",))]
    ]
    paths.append(data.output.beside("_summaries", PAIR, item.name.part))
    whole = measure_slice(item)
    expected = [parquet.read_file(data.output, path) for path in paths]
    for path in paths:
        data.output.remove(path)
    counts = count_piece(pieces(job, item)[0])
    for piece in pieces(job, item)[1:]:
        counts = add(counts, count_piece(piece))
    outcome = finish_slice(CountedSlice(**vars(item), counts=counts))
    assert outcome.counts == whole.counts == {"images": IMAGES, "features": 9}
    found = [parquet.read_file(data.output, path) for path in paths]
    for one, other in zip(found, expected, strict=True):
        assert one == other


def test_a_slice_without_counts_is_not_finished(data: Embedded, job: MeasureJob) -> None:
    item = CountedSlice(**vars(measured_slice(data, job, "relu", 0, 9)))
    with pytest.raises(ValueError, match=f"{item.name} must have its counts, got none"):
        finish_slice(item)
    with_counts = rows._with_counts(item, np.zeros(3, np.int32))
    assert with_counts == replace(item, counts=with_counts.counts)

"""The parts of tables that a slice writes: which there are, their rows, and when they appear."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy import stats

from kdsspark.config import Measure
from kdsspark.output.output import Output
from kdsspark.stages.measure import summaries
from kdsspark.stages.measure.parts import open_parts, written
from kdsspark.stages.measure.rechunk import LayerSlice
from kdsspark.stats.ranges import Ranges
from kdsspark.stats.ranks import Comparison
from kdsspark.tables import DISTANCES, HISTOGRAMS, KS, RANGES
from tests import reference
from tests.stages.embedded import PAIR
from tests.stages.measure.jobs import frame

UNITS, CLASSES, BINS, FIRST = 5, 3, 4, 10
CUT = LayerSlice("fc", 2, FIRST, FIRST + UNITS, np.zeros(UNITS), np.ones(UNITS))


def counts(labeling: int) -> NDArray[np.int32]:
    """Histograms [units, classes, bins]: unit 1 has no values, unit 2 none of class 0."""
    rng = np.random.default_rng(labeling)
    found = rng.integers(0, 9, (UNITS, CLASSES, BINS)).astype(np.int32)
    found[1], found[2, 0] = 0, 0
    return found


def compared() -> NDArray[np.float64]:
    """The comparison of every unit and class, [columns, units, classes]; unit 1 has none."""
    found = np.random.default_rng(9).random((len(reference.COMPARED), UNITS, CLASSES))
    found[:, 1] = np.nan
    return found


def write(output: Output, settings: Measure, labelings: int = 3) -> None:
    """Two blocks of units, every labeling of the first before those of the second."""
    exact = np.linspace(-1, 1, UNITS * CLASSES).reshape(UNITS, CLASSES)
    exact[1] = np.nan
    limits = Ranges(
        np.array([0.5, np.nan, 1, 2, 3]), np.array([1, np.nan, 1, 4, 9.5]), np.arange(5), np.ones(5)
    )
    with open_parts(output, PAIR, settings, CUT) as parts:
        parts.write_ranges(limits)
        for first, last in ((0, 3), (3, 5)):
            for labeling in range(labelings):
                block = slice(first, last)
                wanted = exact[block] if settings.exact and parts.keeps(labeling) else None
                said = None if wanted is None or labeling else Comparison(*compared()[:, block])
                parts.write(first, labeling, counts(labeling)[block], wanted, said)
            parts.flush(40)  # what waits: 24 rows of the true labels and 48 of shuffles
        parts.flush()


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path))


WRITTEN: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"ranges", "histograms", "ks true", "ks shuffled"}),
    ({"histograms": False}, {"ranges", "ks true", "ks shuffled"}),
    ({"keep_shuffled": False}, {"ranges", "histograms", "ks true"}),
    ({"distances": ["auc"]}, {"ranges", "histograms", "ks true", "ks shuffled", "distances"}),
]


@pytest.mark.parametrize(("settings", "names"), WRITTEN)
def test_settings_decide_what_is_written(
    output: Output, settings: dict[str, Any], names: set[str]
) -> None:
    measure = Measure.model_validate(settings)
    assert {" ".join([table.name, *labels]) for table, labels in written(measure)} == names
    write(output, measure)
    paths = {
        output.path(table.part(CUT.name, *PAIR, *labels)) for table, labels in written(measure)
    }
    paths.add(output.path(output.beside("_summaries", PAIR, CUT.name)))
    assert {str(p) for p in Path(output.path()).rglob("*") if p.is_file()} == paths


def test_distances_follow_from_counts(output: Output) -> None:
    write(output, Measure())
    rows = frame(output, KS)
    assert (rows["layer"] == "fc").all()
    found = rows.set_index(["unit", "class_id", "shuffle"])
    assert len(found) == UNITS * CLASSES * 3
    for unit, class_id, shuffle in np.ndindex(UNITS, CLASSES, 3):
        histograms = counts(shuffle)[unit]
        inner, outer = histograms[class_id], histograms.sum(0) - histograms[class_id]
        ks, where = reference.binned_ks(inner, outer)
        row = found.loc[(FIRST + unit, class_id, shuffle)]
        assert row["labels"] == ("shuffled" if shuffle else "true")
        assert (row["n_inner"], row["n_outer"], row["bin"]) == (inner.sum(), outer.sum(), where)
        assert row["ks"] == ks or (ks is None and np.isnan(row["ks"]))
        exact = np.linspace(-1, 1, UNITS * CLASSES)[unit * CLASSES + class_id]
        assert row["ks_exact"] == exact or (unit == 1 and np.isnan(row["ks_exact"]))
        for column, name in enumerate(reference.COMPARED):
            said = compared()[column, unit, class_id]
            there = shuffle == 0 and np.isfinite(said)
            assert row[name] == said if there else np.isnan(row[name])


def test_the_shuffles_of_a_feature_and_class_stand_together(output: Output) -> None:
    write(output, Measure())
    for labels in ("true", "shuffled"):
        path = output.path(KS.part(CUT.name, *PAIR, labels))
        assert pq.read_metadata(path).num_row_groups == 1
        rows = pq.read_table(path, partitioning=None).to_pandas()
        key = rows[["unit", "class_id", "shuffle"]].to_numpy().tolist()
        assert key == sorted(key)
        assert len(key) == UNITS * CLASSES * (2 if labels == "shuffled" else 1)


def test_histograms_and_ranges_are_those_that_were_given(output: Output) -> None:
    write(output, Measure())
    rows = frame(output, HISTOGRAMS)
    assert rows["unit"].tolist() == np.repeat(np.arange(FIRST, FIRST + UNITS), CLASSES).tolist()
    assert rows["class_id"].tolist() == list(range(CLASSES)) * UNITS
    assert np.stack(rows["counts"]).tolist() == counts(0).reshape(-1, BINS).tolist()
    assert rows["n"].tolist() == counts(0).sum(2).ravel().tolist()
    ranges = frame(output, RANGES)
    assert ranges["unit"].tolist() == list(range(FIRST, FIRST + UNITS))
    assert ranges["lo"].fillna(-1).tolist() == [0.5, -1, 1, 2, 3]
    assert ranges["hi"].fillna(-1).tolist() == [1, -1, 1, 4, 9.5]
    assert ranges["n"].tolist() == [0, 1, 2, 3, 4]
    assert ranges["n_nonfinite"].tolist() == [1] * 5


def test_only_the_other_distances_that_are_wanted_are_computed(output: Output) -> None:
    write(output, Measure(distances=("auc",)))
    rows = frame(output, DISTANCES)
    others = [c.name for c in DISTANCES.columns if c.nullable and c.name != "auc"]
    assert len(others) >= 6
    assert rows[others].isna().all(axis=None)
    for row in rows.itertuples():
        histograms = counts(0)[row.unit - FIRST]
        inner, outer = histograms[row.class_id], histograms.sum(0) - histograms[row.class_id]
        if inner.sum() and outer.sum():
            sides = [np.repeat(np.arange(BINS), side) for side in (inner, outer)]
            expected = stats.mannwhitneyu(*sides).statistic / inner.sum() / outer.sum()
            assert row.auc == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(row.auc)
    assert rows["auc"].isna().sum() == CLASSES + 1  # unit 1, and class 0 of unit 2


@pytest.mark.parametrize("keep", [True, False])
def test_summaries_cover_every_labeling_kept_or_not(output: Output, keep: bool) -> None:
    write(output, Measure(keep_shuffled=keep))
    found = dict(summaries.read(output, PAIR, CUT.name))
    assert sorted(found) == [0, 1, 2]
    for shuffle, summary in found.items():
        histograms = counts(shuffle)
        outer = histograms.sum(1, keepdims=True) - histograms
        ks = [
            reference.binned_ks(histograms[cell], outer[cell])[0]
            for cell in np.ndindex(UNITS, CLASSES)
        ]
        defined = np.array([one for one in ks if one is not None])
        assert summary.tally.n_pairs == len(defined)
        assert summary.tally.plus[[0, 300]].tolist() == [(defined > x).sum() for x in (0, 0.3)]
        assert summary.tally.minus[[0, 300]].tolist() == [(defined < -x).sum() for x in (0, 0.3)]
        assert summary.distribution.sum() == len(defined)
        sizes = zip(histograms.sum(2).ravel(), outer.sum(2).ravel(), strict=True)
        scale = [math.sqrt(n * m / max(n + m, 1)) for n, m in sizes]
        reached = [abs(one) * by for one, by in zip(ks, scale, strict=True) if one is not None]
        assert summary.tally.reach == pytest.approx(max(reached), rel=1e-12)


def fail_midway(output: Output) -> None:
    with open_parts(output, PAIR, Measure(), CUT) as parts:
        parts.write(0, 0, counts(0), None)
        parts.flush()
        raise RuntimeError("midway")


def test_nothing_appears_where_a_block_fails(output: Output) -> None:
    with pytest.raises(RuntimeError, match="midway"):
        fail_midway(output)
    assert [path for path in Path(output.path()).rglob("*") if path.is_file()] == []

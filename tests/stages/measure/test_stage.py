"""The stage ``measure``: what it plans of a dataset, its tables, and what it never does twice.

Whole runs without Spark, on awkward data.
"""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdsspark import config
from kdsspark.engine.stage import Standing
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.arrow import image_keys
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages import MEASURE
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.measure.plan import Way
from kdsspark.stats.shuffles import shuffled_labels
from kdsspark.tables import DISTANCES, EMBEDDINGS, HISTOGRAMS, KS, RANGES, Table
from tests import reference
from tests.stages.embedded import awkward, ranges_of
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("without_spark")
GIVEN, ALONE = Pair("clip", "given"), Pair("other", "alone")
SIZES = {"a": 25, "b & c": 14, "d/e": 9, "one": 1, "zz": 11}
SETTINGS = {"bins": 20, "shuffles": 2, "seed": 11}


def write_given(folder: Path) -> None:
    """Three files of a dataset of five classes, and another with one class."""
    names = [name for name, size in SIZES.items() for _ in range(size)]
    labels = np.random.default_rng(5).permutation(names)
    layers = awkward(len(labels))
    for part, rows in enumerate(np.array_split(np.arange(len(labels)), 3)):
        write_embeddings(
            folder / f"given/part{part}.parquet",
            {name: values[rows] for name, values in layers.items()},
            labels[rows].tolist(),
            [f"image {row}" for row in rows],
        )
    write_embeddings(folder / "alone.parquet", {"relu": layers["relu"][:9]}, ["same"] * 9)


def study(folder: Path, **settings: Any) -> Study:
    given = {"name": "given", "embeddings": str(folder / "given"), "network": "clip"}
    alone = {"name": "alone", "embeddings": str(folder / "alone.parquet"), "network": "other"}
    measured = {"output": str(folder / "out"), "measure": SETTINGS | settings}
    return Study(config.parse(measured | {"datasets": [given, alone]}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("measure")
    write_given(folder)
    return run(study(folder).config, "index embed measure")


@pytest.fixture
def folder(tmp_path: Path, finished: Study) -> Path:
    """A copy of the finished study, to be changed."""
    source = Path(finished.output.path()).parent
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    definitions = tmp_path / "out" / "_definitions.json"
    definitions.write_text(definitions.read_text().replace(str(source), str(tmp_path)))
    return tmp_path


def frame(output: Output, table: Table, pair: Pair = GIVEN) -> pd.DataFrame:
    return parquet.read(output, table, *pair).to_pandas()


def when(output: Output, below: str = "") -> dict[str, int]:
    """File -> time of its last change."""
    paths = output.files(below)
    return {path: Path(output.path(path)).stat().st_mtime_ns for path in paths}


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["relu", "double"])
def test_the_tables_of_a_dataset_are_those_of_the_reference(finished: Study, layer: str) -> None:
    rows = parquet.read(finished.output, EMBEDDINGS, *GIVEN)
    keys, true = image_keys(rows["image_id"]), rows["class_id"].to_numpy()
    labelings = [shuffled_labels(keys, true, 11, shuffle) for shuffle in range(3)]
    values = np.stack(rows[layer].to_pylist())
    expected = reference.distances(values, labelings, len(SIZES), 20)
    ks = frame(finished.output, KS).query("layer == @layer")
    ks = ks.set_index(["unit", "class_id", "shuffle"]).sort_index()
    assert list(ks.index) == sorted(expected)
    for name in ("n_inner", "n_outer", "bin"):
        assert ks[name].tolist() == [expected[key][name] for key in ks.index]
    for name in ("ks", "ks_exact"):
        wanted = np.array([expected[key][name] for key in ks.index], float)
        np.testing.assert_allclose(ks[name].to_numpy(float), wanted, rtol=0, atol=1e-15)
    assert (ks["labels"] == np.where(ks.index.get_level_values(2) == 0, "true", "shuffled")).all()
    histograms = frame(finished.output, HISTOGRAMS).query("layer == @layer")
    for row in histograms.itertuples():
        assert row.counts.tolist() == expected[row.unit, row.class_id, 0]["counts"]
    assert len(histograms) == values.shape[1] * len(SIZES)
    limits = ranges_of(values)
    ranges = frame(finished.output, RANGES).query("layer == @layer").sort_values("unit")
    for name in ("lo", "hi", "n", "n_nonfinite"):
        np.testing.assert_array_equal(ranges[name].to_numpy(float), getattr(limits, name))


def test_awkward_features_are_among_them(finished: Study) -> None:
    ks = frame(finished.output, KS).query("layer == 'relu'").set_index("unit")
    assert ks.loc[3, "ks"].tolist() == [0] * 15  # a constant
    assert ks.loc[3, "bin"].tolist() == [-1] * 15
    assert ks.loc[3, "ks_exact"].tolist() == [0] * 15
    assert ks.loc[6, "ks"].isna().all()  # nothing finite


def test_one_class_has_no_distances(finished: Study) -> None:
    ks = frame(finished.output, KS, ALONE)
    assert len(ks) == 9 * 3
    assert ks[["ks", "ks_exact"]].isna().all(axis=None)
    assert (ks["bin"] == -1).all()


# -- plans ---------------------------------------------------------------------------------------


def test_a_plan_names_every_slice_and_reads_only(finished: Study) -> None:
    output, before = finished.output, when(finished.output)
    planned = measure.plan(output, finished.config, GIVEN)
    assert planned.slices == {
        "relu": ["layer-000-units-00000-00009"],
        "double": ["layer-001-units-00000-00002"],
    }
    assert planned.cut.way is Way.WHOLE
    assert planned.row_ranges == {}
    assert (planned.shape.n_images, planned.shape.n_classes) == (60, 5)
    assert planned.shape.layout.values == ("float32", "float64")
    assert planned.standing(output) == Standing(done=2)
    assert when(output) == before


CHANGES: list[tuple[dict[str, Any], Standing]] = [
    ({"memory": "2GiB"}, Standing(done=2)),
    ({"bins": 21}, Standing(stale=2)),
    ({"seed": 12}, Standing(stale=2)),
    ({"distances": ["auc"]}, Standing(stale=2)),
    ({"memory": "24KiB"}, Standing(done=1, missing=3)),  # `relu` in slices of three units
]


@pytest.mark.parametrize(("changed", "standing"), CHANGES)
def test_settings_make_slices_stale_or_missing(
    finished: Study, changed: dict[str, Any], standing: Standing
) -> None:
    other = study(Path(finished.output.path()).parent, **changed)
    planned = measure.plan(finished.output, other.config, GIVEN)
    assert planned.standing(finished.output) == standing
    assert planned.finished(finished.output) == standing.finished


def test_what_is_not_embedded_cannot_be_planned(tmp_path: Path) -> None:
    write_given(tmp_path)
    message = "dataset given: is not embedded by clip, run embed first"
    with pytest.raises(DatasetError, match=message):
        measure.plan(Output.at(str(tmp_path / "out")), study(tmp_path).config, GIVEN)


# -- runs ----------------------------------------------------------------------------------------


def test_what_is_done_is_not_done_again(folder: Path) -> None:
    before = when(Output.at(str(folder / "out")))
    run(study(folder).config, "measure")
    assert when(Output.at(str(folder / "out"))) == before


def test_other_settings_replace_the_tables(folder: Path) -> None:
    changed: dict[str, Any] = {"bins": 7, "histograms": False, "exact": False, "distances": ["auc"]}
    output = run(study(folder, **changed).config, "measure").output
    assert not output.files(HISTOGRAMS.name)
    assert frame(output, KS)["ks_exact"].isna().all()
    assert frame(output, KS)["bin"].max() < 7
    assert len(frame(output, DISTANCES)) == 11 * len(SIZES)
    output = run(study(folder, keep_shuffled=False).config, "measure").output
    assert len(frame(output, HISTOGRAMS)) == 11 * len(SIZES)
    assert not output.files(DISTANCES.name)
    assert not output.files(KS.partition(*GIVEN, "shuffled"))
    assert set(frame(output, KS)["labels"]) == {"true"}


def test_other_cuts_leave_no_slice_of_the_former(folder: Path) -> None:
    output = run(study(folder, memory="24KiB").config, "measure").output
    planned = measure.plan(output, study(folder, memory="24KiB").config, GIVEN)
    assert planned.cut.way is Way.COLUMNS
    assert [len(slices) for slices in planned.slices.values()] == [3, 1]
    for table, labels in ((RANGES, ()), (HISTOGRAMS, ()), (KS, ("true",)), (KS, ("shuffled",))):
        parts = output.files(table.partition(*GIVEN, *labels))
        assert [Path(path).stem for path in parts] == sorted(chain(*planned.slices.values()))
    assert not output.files("_columns")
    assert not output.files("_receipts/rechunk")


def test_a_lost_receipt_and_what_killed_workers_left_are_seen_to(folder: Path) -> None:
    output = Output.at(str(folder / "out"))
    lost = sorted(MEASURE.receipts(output).of(GIVEN))[0]
    MEASURE.receipts(output).remove(lost)
    path = KS.part(lost.part, *GIVEN, "true")
    expected = parquet.read_file(output, path)
    output.remove(path)
    unfinished = Path(output.path(KS.partition(*GIVEN, "true"))) / ".tmp-1-x.parquet"
    unfinished.write_bytes(b"PAR1")
    before = when(output)
    again = run(study(folder).config, "measure").output
    assert parquet.read_file(again, path) == expected
    assert not unfinished.exists()
    changed = {p for p, t in when(again).items() if before.get(p) != t}
    assert {Path(path).stem for path in changed} == {lost.part}


def test_a_dataset_that_is_not_embedded_as_it_is_indexed_is_refused(folder: Path) -> None:
    added = {"relu": np.ones((1, 9), np.float32), "double": np.ones((1, 2))}
    write_embeddings(folder / "given/part9.parquet", added, ["a"], ["one more"])
    config = study(folder).config
    with pytest.raises(DatasetError, match="must be embedded by clip as they are indexed, run"):
        run(config, "index measure")
    output = run(config, "embed measure").output
    assert frame(output, RANGES)["n"].max() == 61

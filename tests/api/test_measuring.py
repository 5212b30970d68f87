"""Arrays measured in process: the numbers of a run to the bit, and those of numpy and scipy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import kdsspark
from kdsspark import config
from kdsspark.api import measuring
from kdsspark.api.result import Result
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages import MEASURE, SUMMARIZE
from kdsspark.tables import IMAGES, TABLES
from tests import reference
from tests.stages.embedded import awkward
from tests.studies import run_here, write_embeddings

N_IMAGES, CLASSES = 150, ["10", "2", "a/b", "été"]
SETTINGS: dict[str, Any] = {"bins": 30, "shuffles": 3, "seed": 4, "distances": ["wasserstein"]}
NOT_COLUMNS = {"network", "dataset"}  # partition columns, of which a measurement has one value


def layers() -> dict[str, NDArray[Any]]:
    """Awkward features, the first of which is higher for one of the classes."""
    found = awkward(N_IMAGES)
    found["relu"][:, 0] += 2 * (_labels() == "a/b")
    return found


def _labels() -> NDArray[Any]:
    return np.random.default_rng(1).choice(CLASSES, N_IMAGES)


@pytest.fixture(scope="module")
def labels() -> NDArray[Any]:
    return _labels()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, labels: NDArray[Any]) -> Output:
    folder = tmp_path_factory.mktemp("run")
    write_embeddings(folder / "given.parquet", layers(), labels.tolist())
    raw = {
        "output": str(folder / "out"),
        "datasets": [{"name": "given", "embeddings": str(folder / "given.parquet")}],
        "measure": SETTINGS,
    }
    return run_here(config.parse(raw)).output


@pytest.fixture(scope="module")
def ids(run: Output) -> list[str]:
    found: list[str] = parquet.read(run, IMAGES)["image_id"].to_pylist()
    return found


@pytest.fixture(scope="module")
def result(labels: NDArray[Any], ids: list[str]) -> Result:
    more = {"histograms": True, "keep_shuffled": True}
    return kdsspark.measure(layers(), labels, ids=ids, **SETTINGS, **more)


@pytest.mark.parametrize("name", [table.name for table in (*MEASURE.tables, *SUMMARIZE.tables)])
def test_every_table_is_that_of_a_run_to_the_bit(run: Output, result: Result, name: str) -> None:
    key = [column for column in TABLES[name].key if column not in NOT_COLUMNS] or ["dataset"]
    expected = parquet.read(run, TABLES[name]).to_pandas()
    columns = [c for c in expected if c not in NOT_COLUMNS or c in TABLES[name].schema.names]
    frames = [frame[columns].copy() for frame in (getattr(result, name), expected)]
    for i, frame in enumerate(frames):
        if "counts" in frame:
            frame["counts"] = frame["counts"].map(tuple)
        frames[i] = frame.sort_values(key, ignore_index=True)
    assert len(frames[0])
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_a_result_has_every_table_that_a_run_measures_and_summarizes() -> None:
    made = {table.name for stage in (MEASURE, SUMMARIZE) for table in stage.tables}
    assert {field.name for field in fields(Result)} == made | {"classes"}


def test_ks_is_that_of_numpy_and_scipy_and_says_the_class(
    result: Result, labels: NDArray[Any]
) -> None:
    values = layers()["relu"]
    found = result.ks.query("layer == 'relu' and shuffle == 0").set_index(["unit", "class"])
    assert result.classes == CLASSES
    number = np.array([CLASSES.index(label) for label in labels])
    expected = reference.distances(values, [number], len(CLASSES), SETTINGS["bins"])
    assert len(found) == len(expected) == values.shape[1] * len(CLASSES)
    for (unit, class_id, _), row in expected.items():
        got = found.loc[(unit, CLASSES[class_id])]
        for name in ("n_inner", "n_outer", "bin"):
            assert got[name] == row[name]
        for name in ("ks", "ks_exact"):
            assert got[name] == pytest.approx(
                np.nan if row[name] is None else row[name], nan_ok=True
            )


def test_significance_stands_beside_ks(result: Result) -> None:
    tested = [c for c in TABLES["significance"].schema.names if c not in TABLES["ks"].schema.names]
    assert {"p", "q", "q_layer"} <= set(tested)
    true = result.ks[result.ks["labels"] == "true"]
    pd.testing.assert_frame_equal(true[tested], result.significance[tested], check_exact=True)
    assert true["q"].min() < 0.05
    assert result.ks.loc[result.ks["labels"] == "shuffled", tested].isna().all(axis=None)


def _assert_same(one: Result, other: Result) -> None:
    for field in fields(Result):
        if field.name != "classes":
            frames = (getattr(one, field.name), getattr(other, field.name))
            pd.testing.assert_frame_equal(*frames, check_exact=True)


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_and_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, labels: NDArray[Any], threads: int
) -> None:
    whole = kdsspark.measure(layers(), labels, **SETTINGS, keep_shuffled=True)
    monkeypatch.setattr(measuring, "_MOST_VALUES", 2 * N_IMAGES)
    cut = kdsspark.measure(layers(), labels, **SETTINGS, keep_shuffled=True, threads=threads)
    _assert_same(cut, whole)


def test_shuffles_follow_the_ids_and_not_the_rows(labels: NDArray[Any], ids: list[str]) -> None:
    values = np.random.default_rng(2).normal(size=(N_IMAGES, 6))
    rows = np.random.default_rng(3).permutation(N_IMAGES)
    found = kdsspark.measure(values, labels, ids=ids, keep_shuffled=True)
    moved = [ids[row] for row in rows]
    _assert_same(kdsspark.measure(values[rows], labels[rows], ids=moved, keep_shuffled=True), found)
    others = [kdsspark.measure(values, labels, keep_shuffled=True), found]
    shuffled = [frame[frame["shuffle"] == 1]["ks"].to_numpy() for frame in (r.ks for r in others)]
    assert (shuffled[0] != shuffled[1]).any()
    numbers = [f"{row:032x}" for row in range(N_IMAGES)]  # the ids where none are given
    _assert_same(kdsspark.measure(values, labels, ids=numbers, keep_shuffled=True), others[0])


def test_what_is_not_asked_for_has_no_rows(labels: NDArray[Any]) -> None:
    found = kdsspark.measure(layers(), labels, exact=False)
    assert found.ks["ks_exact"].isna().all()
    assert set(found.ks["labels"]) == {"true"}
    assert (len(found.histograms), len(found.distances)) == (0, 0)
    assert list(found.histograms) == ["layer", "unit", "class_id", "class", "n", "counts"]


def test_one_class_has_no_distance() -> None:
    found = kdsspark.measure([[1.0, 2.0], [3.0, 4.0]], ["a", "a"])
    assert found.ks["n_inner"].tolist() == [2, 2]
    assert found.ks[["ks", "ks_exact", "p", "q"]].isna().all(axis=None)
    assert found.thresholds[["t_plus", "t_minus"]].isna().all(axis=None)


def test_values_that_are_not_finite_are_counted() -> None:
    values = np.array([[1, np.nan], [2, np.inf], [3, 5], [4, 6]])
    found = kdsspark.measure(values, list("abab"))
    assert found.ranges["n_nonfinite"].tolist() == [0, 2]
    assert found.ranges[["lo", "hi"]].to_numpy().tolist() == [[1, 4], [5, 6]]
    second = found.ks[found.ks["unit"] == 1]
    assert second[["n_inner", "n_outer"]].to_numpy().tolist() == [[1, 1], [1, 1]]


def test_measuring_imports_neither_spark_nor_torch() -> None:
    code = (
        "import sys, kdsspark\n"
        "light = {name.partition('.')[0] for name in sys.modules}\n"
        "kdsspark.measure([[0.0], [1.0]], ['a', 'b'])\n"
        "print(*light, '/', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light, heavy = (set(names.split()) for names in done.stdout.split("/"))
    assert not light & {"numpy", "pandas", "pyarrow", "pydantic", "yaml"}
    assert "pandas" in heavy
    assert not heavy & {"pyspark", "py4j", "torch", "torchvision", "sklearn", "matplotlib", "PIL"}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'meassure'"):
        kdsspark.meassure  # noqa: B018
    assert "measure" in dir(kdsspark)


def test_a_result_prints_in_one_line(result: Result) -> None:
    row = result.thresholds.iloc[0]
    assert repr(result) == (
        f"<kdsspark.Result: 11 units, 4 classes, 150 images, "
        f"t_plus {row['t_plus']}, t_minus {row['t_minus']}>"
    )

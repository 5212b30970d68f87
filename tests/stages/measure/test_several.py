"""Datasets with several labels an image: every way of measuring, against numpy and scipy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import kdsspark
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages import MEASURE, SUMMARIZE
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.measure.plan import Way
from kdsspark.tables import EMBEDDINGS, HISTOGRAMS, KS, TABLES, THRESHOLDS
from tests import reference
from tests.overlapping import CLASSES, IMAGES, PAIR, SETTINGS, members, study, write_images
from tests.studies import run

pytestmark = pytest.mark.usefixtures("without_spark")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("several") / "in")


@pytest.fixture(scope="module")
def output(manifest: Path, without_spark: None) -> Output:  # noqa: ARG001
    chosen = study(manifest.parent.parent / "out", manifest)
    return run(chosen, "index embed measure summarize check").output


def embedded(output: Output) -> tuple[NDArray[Any], NDArray[np.bool_], list[str]]:
    """Values [images, units], membership [images, classes] and ids, in the order of the table."""
    rows = parquet.read(output, EMBEDDINGS, *PAIR)
    (layer,) = [name for name in rows.column_names if name == "pixels"]
    own = [json.loads(text) for text in rows["class_name"].to_pylist()]
    member = np.array([[name in names for name in CLASSES] for names in own])
    return np.array(rows[layer].to_pylist(), np.float32), member, rows["image_id"].to_pylist()


def frame(output: Output, name: str) -> pd.DataFrame:
    found = parquet.read(output, TABLES[name]).to_pandas()
    if "counts" in found:
        found["counts"] = found["counts"].map(tuple)
    return found.sort_values(list(TABLES[name].key), ignore_index=True)


def test_each_class_is_held_against_all_images_without_it(output: Output) -> None:
    values, member, _ = embedded(output)
    assert member.sum() == members().sum()
    found = frame(output, KS.name).query("shuffle == 0").set_index(["unit", "class_id"])
    histograms = frame(output, HISTOGRAMS.name).set_index(["unit", "class_id"])["counts"]
    assert len(found) == values.shape[1] * len(CLASSES)
    for class_id in range(len(CLASSES)):
        one = [np.where(member[:, class_id], 1, 0)]
        for (unit, own, _), row in reference.distances(values, one, 2, SETTINGS["bins"]).items():
            if own == 0:
                continue
            got = found.loc[(unit, class_id)]
            for name in ("n_inner", "n_outer", "bin"):
                assert got[name] == row[name]
            for name in ("ks", "ks_exact", *reference.COMPARED):
                expected = np.nan if row[name] is None else row[name]
                assert got[name] == pytest.approx(expected, rel=1e-9, abs=1e-6, nan_ok=True)
            assert list(histograms[unit, class_id]) == row["counts"]
    for unit in range(values.shape[1]):
        x = values[:, unit].astype(np.float64)
        counts = reference.histogram(x, x.min(), x.max(), SETTINGS["bins"])
        assert list(histograms[unit, -1]) == counts.tolist()


def test_thresholds_count_labels(output: Output) -> None:
    (row,) = parquet.read(output, THRESHOLDS).to_pylist()
    assert (row["n_images"], row["n_classes"]) == (IMAGES, len(CLASSES))
    assert row["images_per_class"] == members().sum() / len(CLASSES)
    ks = frame(output, KS.name)
    true, shuffled = ks.query("shuffle == 0"), ks.query("shuffle > 0")
    by_class = np.array(true["ks"]).reshape(-1, len(CLASSES))
    by_shuffle = np.array(shuffled["ks"]).reshape(len(by_class), -1)
    t_plus, davg_plus = reference.threshold(by_class, by_shuffle, 1)
    assert (row["t_plus"], row["davg_plus"]) == (t_plus, pytest.approx(davg_plus))


def test_shuffles_keep_the_sizes_of_classes_and_what_comes_together(output: Output) -> None:
    ks = frame(output, KS.name)
    sizes = ks.groupby(["shuffle", "class_id"])["n_inner"].unique()
    for (_, class_id), own in sizes.items():
        assert own.tolist() == [members()[:, class_id].sum()]


@pytest.mark.parametrize("kind", [pd.DataFrame, np.ndarray])
def test_python_gives_the_tables_of_a_run_to_the_bit(output: Output, kind: type) -> None:
    values, member, ids = embedded(output)
    labels = pd.DataFrame(member, columns=CLASSES)
    if kind is pd.DataFrame:
        labels = labels[CLASSES[::-1]]
    given = labels if kind is pd.DataFrame else labels.to_numpy()
    more = {"histograms": True, "keep_shuffled": True}
    result = kdsspark.measure({"pixels": values}, given, ids=ids, **SETTINGS, **more)
    assert result.classes == (CLASSES if kind is pd.DataFrame else [0, 1, 2, 3])
    for name in [table.name for table in (*MEASURE.tables, *SUMMARIZE.tables)]:
        expected, got = frame(output, name), getattr(result, name).copy()
        if name == "thresholds":
            got["dataset"] = "coco"
        if "counts" in got:
            got["counts"] = got["counts"].map(tuple)
        columns = [c for c in expected if c in got]
        key = [column for column in TABLES[name].key if column in got]
        got = got[columns].sort_values(key, ignore_index=True)
        if "kind" in columns:  # which an array's units do not have
            columns.remove("kind")
        pd.testing.assert_frame_equal(got[columns], expected[columns], check_exact=True)


WAYS = {
    "columns": (Way.COLUMNS, {"memory": "19600"}),
    "rows": (Way.ROWS, {"memory": "16KiB", "exact": False, "shuffles": 9}),
}


@pytest.mark.parametrize("name", WAYS)
def test_other_ways_give_the_same(
    tmp_path: Path, manifest: Path, output: Output, name: str
) -> None:
    way, settings = WAYS[name]
    outputs = []
    for memory in (settings["memory"], "1GiB"):
        chosen = study(tmp_path / memory, manifest, **(settings | {"memory": memory}))
        shutil.copytree(output.path(), chosen.output)
        outputs.append(run(chosen, "measure summarize check").output)
    cut = measure.plan(outputs[0], study(tmp_path, manifest, **settings), PAIR).cut
    assert cut.way is way
    for table in (*MEASURE.tables, *SUMMARIZE.tables):
        found, expected = (frame(one, table.name) for one in outputs)
        assert len(found)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)

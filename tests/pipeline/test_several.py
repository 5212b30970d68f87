"""A whole study with several labels an image: views, report, what is left out, what is added."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from kdsspark.engine.stage import Stage
from kdsspark.errors import ConfigError, InvariantError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.query import views
from kdsspark.stages import EXPERIMENTS, MEASURE, PROBE, SUMMARIZE, check, removal
from kdsspark.stages.check import check_item
from kdsspark.tables import DUPLICATES, HISTOGRAMS, IMAGE_CLASSES, IMAGES, TABLES, THRESHOLDS
from tests.inprocess import without_spark
from tests.overlapping import CLASSES, PAIR, members, study, write_images
from tests.report.undrawn import without_figures
from tests.studies import run_here

DRAWN = ("coco", "pixels", 3, "bright")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Everything of a run but the report; one image is broken, and one there twice."""
    folder = tmp_path_factory.mktemp("coco")
    manifest = write_images(folder / "in")
    rows = pd.read_csv(manifest)
    broken = int(np.flatnonzero(members()[:, 1])[0])
    Path(folder / "in" / f"{broken}.png").write_bytes(b"no image")
    shutil.copy(folder / "in" / "39.png", folder / "in" / "copy.png")
    rows.loc[len(rows)] = ["copy.png", rows["label"][39]]
    rows.to_csv(manifest, index=False)
    chosen = study(folder / "out", manifest)
    chosen = chosen.model_copy(
        update={"embed": chosen.embed.model_copy(update={"max_failures": 1.0})}
    )
    return run_here(chosen, "index embed measure summarize exemplars check transform")


def test_views_count_labels(done: Study, spark: SparkSession) -> None:
    opened = views.opened(spark, done.output, ["class_summary", "image_labels"])
    member = np.concatenate([members(), members()[39:]])
    broken = members()[np.flatnonzero(members()[:, 1])[0]]
    got = {row["class_name"]: row for row in opened.table("class_summary").collect()}
    assert list(sorted(got)) == CLASSES
    for class_id, name in enumerate(CLASSES):
        row = got[name]
        assert row["class_id"] == class_id
        assert row["n_images"] == member[:, class_id].sum()
        assert row["n_failed"] == int(broken[class_id])
        assert row["n_measured"] == member[:, class_id].sum() - int(broken[class_id])
    labels = opened.table("image_labels").toPandas()
    assert len(labels) == member.sum()
    assert Counter(labels["class_name"]) == {
        name: member[:, c].sum() for c, name in enumerate(CLASSES)
    }


def test_the_report_has_a_page_for_each_class_and_the_number_of_images(
    done: Study,
    spark: SparkSession,  # noqa: ARG001
) -> None:
    drawn = Study(done.config, drawn=[DRAWN])
    with without_figures():
        drawn.do("report")
    pages = [path for path in done.output.files("report") if path.endswith(".html")]
    of_classes = [path for path in pages if "/classes/" in path]
    assert len(of_classes) == len(CLASSES)
    n = int(members()[:, 1].sum()) - 1
    texts = [Path(done.output.path(path)).read_text(encoding="utf-8") for path in of_classes]
    bright = next(text for text in texts if "<title>bright" in text)
    if members()[39, 1]:
        n += 1
    assert f"{n} of 40 images" in " ".join(bright.split())
    index = Path(done.output.path("report/index.html")).read_text(encoding="utf-8")
    assert "40 images" in index


def test_thresholds_and_copies_count_images_and_labels(done: Study) -> None:
    (row,) = parquet.read(done.output, THRESHOLDS).to_pylist()
    broken = int(np.flatnonzero(members()[:, 1])[0])
    n_labels = members().sum() - members()[broken].sum() + members()[39].sum()
    assert (row["n_images"], row["n_classes"]) == (40, len(CLASSES))
    assert row["images_per_class"] == n_labels / len(CLASSES)
    copies = parquet.read(done.output, DUPLICATES).to_pylist()
    assert [(c["in_class"], c["in_dataset"]) for c in copies] == [(2, 2)] * 2


def do(done: Study, stage: Stage) -> None:
    with without_spark():
        Study(done.config).do(stage.command)


NEED_NETWORKS = {"sources", "grids", "ablations", "invariance", "occlusion", "correspondence"}
"""Refused here, because the study has no network that takes images."""
ONE_LABEL = [PROBE, *(one for one in EXPERIMENTS if one.one_label)]


@pytest.mark.parametrize(
    "stage", [s for s in ONE_LABEL if s.name not in NEED_NETWORKS], ids=lambda s: s.name
)
def test_what_needs_one_label_leaves_the_dataset_out_with_a_line(
    done: Study, capsys: pytest.CaptureFixture[str], stage: Stage
) -> None:
    do(done, stage)
    line = f"dataset coco: left out, {stage.name} needs one label an image"
    assert line in capsys.readouterr().err.splitlines()
    assert not any(done.output.files(table.name) for table in stage.tables)


def test_sources_has_nothing_to_compare(done: Study) -> None:
    with pytest.raises(ConfigError, match="two networks must have the same dataset"):
        do(done, next(one for one in EXPERIMENTS if one.name == "sources"))


def test_sparsity_asks_for_no_label(done: Study) -> None:
    do(done, next(one for one in EXPERIMENTS if one.name == "sparsity"))
    (row,) = parquet.read(done.output, TABLES["sparsity"]).to_pylist()
    assert row["n_images"] == 40


def test_a_wrong_histogram_of_all_images_is_noticed(done: Study, tmp_path: Path) -> None:
    shutil.copytree(done.output.path(), tmp_path / "out")
    copy = Study(done.config.model_copy(update={"output": str(tmp_path / "out")}))
    (path,) = copy.output.files(HISTOGRAMS.name)
    rows = parquet.read_file(copy.output, path).to_pylist()
    assert rows[0]["class_id"] == -1
    rows[0]["counts"][0] += 1
    rows[0]["n"] += 1
    parquet.write_rows(copy.output, path, rows, HISTOGRAMS)
    *_, item = check.plan(copy.output, copy.config, PAIR).items
    with pytest.raises(InvariantError, match="the histogram of all images must be the first"):
        check_item(item)


def test_a_lost_label_is_noticed(done: Study, tmp_path: Path) -> None:
    shutil.copytree(done.output.path(), tmp_path / "out")
    copy = Study(done.config.model_copy(update={"output": str(tmp_path / "out")}))
    (path,) = copy.output.files(IMAGE_CLASSES.name)
    rows = parquet.read_file(copy.output, path)
    item, *_ = check.plan(copy.output, copy.config, PAIR).items
    check_item(item)
    parquet.write(copy.output, path, rows.slice(1), IMAGE_CLASSES.schema)
    with pytest.raises(InvariantError, match="image_classes must have the labels of images"):
        check_item(item)


def tables(output: Output) -> dict[str, pd.DataFrame]:
    found = {}
    for table in (IMAGES, IMAGE_CLASSES, *MEASURE.tables, *SUMMARIZE.tables):
        frame = parquet.read(output, table).to_pandas()
        if "counts" in frame:
            frame["counts"] = frame["counts"].map(tuple)
        found[table.name] = frame.sort_values(list(table.key), ignore_index=True)
    return found


def test_added_images_and_changed_labels_give_what_a_run_over_all_gives(tmp_path: Path) -> None:
    manifest = write_images(tmp_path / "in")
    rows = pd.read_csv(manifest)
    first = rows.iloc[:30].copy()
    first.loc[3, "label"] = json.dumps(["gone"])
    first.to_csv(manifest, index=False)
    stages = "index embed measure summarize check"
    run_here(study(tmp_path / "grown", manifest), stages)
    rows.to_csv(manifest, index=False)
    grown = run_here(study(tmp_path / "grown", manifest), stages)
    whole = run_here(study(tmp_path / "whole", manifest), stages)
    expected = tables(whole.output)
    for name, frame in tables(grown.output).items():
        pd.testing.assert_frame_equal(frame, expected[name], check_exact=True)


def test_forgetting_the_dataset_leaves_nothing_of_it(done: Study, tmp_path: Path) -> None:
    shutil.copytree(done.output.path(), tmp_path / "out")
    output = Output.at(str(tmp_path / "out"))
    removal.remove(output, "dataset", "coco")
    assert not [path for path in output.files("") if "dataset=coco" in path]

"""One whole run by Spark: its tables are those of a run without Spark, and Spark reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kdsspark.config import Config
from kdsspark.errors import TooManyFailuresError
from kdsspark.output import parquet
from kdsspark.pipeline.study import Study
from kdsspark.stages import EXPERIMENTS
from kdsspark.tables import TABLES
from tests.pipeline.test_runs import CLASSES, assert_same, tables
from tests.studies import (
    image_config,
    run_here,
    short_report,
    write_images,
    write_images_and_a_broken_one,
)

pytestmark = pytest.mark.cluster

SECRETS = {"spark.hadoop.fs.s3a.secret.key": "hush", "spark.some.url": "http://me:hush@host/x"}
NOT_MADE = {  # where they are not asked for
    "distances",
    "image_classes",
    *(table.name for experiment in EXPERIMENTS for table in experiment.tables),
}


def study_config(output: Path, inputs: Path) -> Config:
    folders = {name: inputs / name for name in ("bad", "set")}
    sections = {
        "embed": {"max_failures": 0.5, "batch_images": 1},
        "transform": {"t_plus": 0.2, "t_minus": -0.2},
        "spark": {"conf": SECRETS},
    }
    return image_config(output, folders, **sections)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with a broken image, and one with no other."""
    folder = tmp_path_factory.mktemp("inputs")
    write_images_and_a_broken_one(folder / "set", CLASSES)
    (folder / "bad" / "a").mkdir(parents=True)
    (folder / "bad" / "a" / "text.jpg").write_text("nothing to see")
    return folder


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    inputs: Path,
    spark: SparkSession,  # noqa: ARG001
) -> Study:
    """A run, and the stages beside it. The dataset without a good image ends none of the others."""
    study = Study(study_config(tmp_path_factory.mktemp("finished") / "out", inputs))
    study.settle()
    too_many = pytest.raises(TooManyFailuresError, match="dataset bad: 1 of 1 images failed")
    with short_report(), too_many:
        study.do("run")
    for stage in ("transform", "probe"):
        study.do(stage)
    return study


def test_every_number_is_that_of_a_run_without_spark(
    finished: Study, inputs: Path, tmp_path: Path
) -> None:
    stages = "index embed measure summarize exemplars transform probe"
    config = study_config(tmp_path / "out", inputs)
    embed = config.embed.model_copy(update={"max_failures": 1.0})
    here = run_here(config.model_copy(update={"embed": embed}), stages)
    assert_same(tables(finished.output), tables(here.output))


def test_spark_reads_every_table(finished: Study, spark: SparkSession) -> None:
    made = [table for table in TABLES.values() if finished.output.files(table.name)]
    assert {t.name for t in TABLES.values()} - {t.name for t in made} == NOT_MADE
    types = {}
    for table in made:
        frame = spark.read.parquet(finished.output.path(table.name))
        expected = {c.name for c in table.columns} | set(table.partitioned_by)
        assert expected <= set(frame.columns), table.name
        assert frame.count() == len(parquet.read(finished.output, table)), table.name
        types[table.name] = dict(frame.dtypes)
    assert types["embeddings"]["conv1"] == types["pruned"]["conv1"] == "array<float>"
    assert types["embeddings"]["class_id"] == "int"
    assert types["histograms"]["counts"] == "array<int>"
    assert types["full_network"]["conv1"] == "array<tinyint>"
    rows = spark.read.parquet(finished.output.path("images")).where("dataset = 'set'")
    rows = rows.select("class_id", "class_name").distinct().orderBy("class_id").collect()
    assert [row["class_name"] for row in rows] == sorted(CLASSES)


def test_the_report_is_of_the_others_and_shows_no_secrets(finished: Study) -> None:
    shown = Path(finished.output.path("report/index.html")).read_text()
    assert "hush" not in shown
    assert "spark.hadoop.fs.s3a.secret.key" in shown
    assert [line.split()[1:4] for line in finished.closing("run").splitlines()[1:3]] == [
        ["bad", "1", "1"],
        ["set", "25", "1"],
    ]


def test_failures_can_be_read_where_there_are_none(spark: SparkSession, tmp_path: Path) -> None:
    write_images(tmp_path / "images", {"a": 2, "b": 2})
    study = run_here(image_config(tmp_path / "out", {"set": tmp_path / "images"}), "index embed")
    assert spark.read.parquet(study.output.path("failures")).count() == 0

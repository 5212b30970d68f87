"""Where the files of tables lie, as Hadoop names them, and the columns that Spark is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.query import frames
from kdsspark.tables import EMBEDDINGS, TABLES
from tests.studies import write_embeddings


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket/a study/out", "s3a://bucket/a study/out/ks"),
        ("s3a://bucket/out", "s3a://bucket/out/ks"),
        ("gs://bucket/out", "gs://bucket/out/ks"),
        ("hdfs://namenode:8020/s3:/out", "hdfs://namenode:8020/s3:/out/ks"),
        ("file:///data/s3:/out [1]", "file:///data/s3:/out [1]/ks"),
    ],
)
def test_locations_have_hadoops_names(url: str, location: str) -> None:
    """Hadoop's connector for S3 serves `s3a`; those of other stores, what fsspec calls them."""
    assert frames.location(Output(url), "ks") == location


@pytest.mark.parametrize("url", ["{}/a b/out", "file://{}/a b/out"])
def test_local_locations_name_their_file_system(tmp_path: Path, url: str) -> None:
    """Hadoop would look for a bare path on its default file system, which may be HDFS."""
    store = Output.at(url.format(tmp_path))
    assert frames.location(store, "ks") == f"file://{tmp_path}/a b/out/ks"


NAMES_AND_DECOYS = [
    ("two words", "twowords"),
    ("a*", "ab"),
    ("a?", "ab"),
    ("[ab]", "a"),
    ("[^b]", "a"),
    ("[a-z]*", "ab"),
    ("{a,b}", "a"),
    ("a\\*", "a*"),
    ("a\\b", "ab"),
    ("[", "\\["),
    ("}{", "a"),
    ("100%", "100"),
    ("%20", " "),
    ("a#1", "a"),
    ("x=y,z", "x"),
    ("Ω 猫", "Ω"),
]


@pytest.mark.parametrize(("name", "decoy"), NAMES_AND_DECOYS)
def test_a_pattern_matches_its_path_and_nothing_else(
    spark: SparkSession, tmp_path: Path, name: str, decoy: str
) -> None:
    """Asked of Hadoop, whose patterns they are, and of Spark."""
    for folder in (name, decoy):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.txt").write_text(folder, encoding="utf-8")
    path = frames.pattern(frames.location(Output.at(str(tmp_path)), name))
    hadoop = spark._jvm.org.apache.hadoop.fs
    pattern = hadoop.Path(path)
    files = pattern.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    assert [found.getPath().getName() for found in files.globStatus(pattern)] == [name]
    assert [row["value"] for row in spark.read.text(path).collect()] == [name]


# -- columns -------------------------------------------------------------------------------------


def test_columns_are_those_declared_then_the_partitions(tmp_path: Path) -> None:
    store = Store.at(str(tmp_path))
    for table in TABLES.values():
        found = frames.columns(store, table)
        assert found.names == [*(c.name for c in table.columns), *table.partitioned_by]
        assert all(field.nullable for field in found)


def test_a_layer_of_two_types_is_read_as_double(tmp_path: Path) -> None:
    """Spark ignores case, so that ``FC`` and ``fc`` are one column."""
    values = np.zeros((2, 3))
    for network, layers in {
        "one": {"fc": values.astype(np.float32), "own": values.astype(np.float32)},
        "two": {"FC": values},
    }.items():
        path = tmp_path / EMBEDDINGS.part("x", network, "set")
        write_embeddings(path, layers, ["a", "b"])
    found = frames.columns(Store.at(str(tmp_path)), EMBEDDINGS)
    types = {field.name: field.dataType.simpleString() for field in found}
    assert (types["fc"], types["own"]) == ("array<double>", "array<float>")
    assert "FC" not in types


def test_a_table_without_files_is_empty_before_any_task_runs(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = frames.rows(spark, Store.at(str(tmp_path)), TABLES["ks"])
    assert frame._jdf.queryExecution().optimizedPlan().toString().startswith("LocalRelation <empty")
    assert frame.columns == frames.columns(Store.at(str(tmp_path)), TABLES["ks"]).names


@pytest.mark.parametrize("name", ["plain", "a.b", "tick`s", "a b"])
def test_a_column_is_found_by_any_name(spark: SparkSession, name: str) -> None:
    quoted = name.replace("`", "``")
    frame = spark.sql(f"SELECT 3 AS `{quoted}`")
    assert frame.select(frames.column(name)).first()[0] == 3

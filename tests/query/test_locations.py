"""Where tables lie, as Spark and Hadoop are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.query import views


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://bucket/a study/out", "s3a://bucket/a study/out/ks"),
        ("s3a://bucket/out", "s3a://bucket/out/ks"),
        ("gs://bucket/out", "gs://bucket/out/ks"),
        ("hdfs://namenode:8020/s3:/out", "hdfs://namenode:8020/s3:/out/ks"),
        ("file:///data/s3:/out [1]", "file:///data/s3:/out [1]/ks"),
    ],
)
def test_locations_are_called_as_hadoop_calls_them(url: str, told: str) -> None:
    """Hadoop's connector for S3 serves `s3a`; those of other stores, what fsspec calls them."""
    assert views.location(Store(url), "ks") == told


@pytest.mark.parametrize("url", ["{}/a b/out", "file://{}/a b/out"])
def test_local_locations_name_their_file_system(tmp_path: Path, url: str) -> None:
    """Hadoop would look for a bare path on its default file system, which may be HDFS."""
    store = Output.at(url.format(tmp_path))
    assert views.location(store, "ks") == f"file://{tmp_path}/a b/out/ks"


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
    path = views._pattern(views.location(Output.at(str(tmp_path)), name))
    hadoop = spark._jvm.org.apache.hadoop.fs
    pattern = hadoop.Path(path)
    files = pattern.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    assert [found.getPath().getName() for found in files.globStatus(pattern)] == [name]
    assert [row["value"] for row in spark.read.text(path).collect()] == [name]

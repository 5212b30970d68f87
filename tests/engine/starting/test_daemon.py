"""Workers import pyspark from the folder that the driver has it from."""

from __future__ import annotations

from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from kdsspark.engine.starting.daemon import without_archives


def test_only_the_archives_of_spark_are_left_out() -> None:
    path = ["", "/spark/python/lib/pyspark.zip", "/mine/pyspark.zip", "/spark/python/lib"]
    assert without_archives(path, "/spark") == ["", "/mine/pyspark.zip", "/spark/python/lib"]
    assert without_archives(path, "") == path


def test_a_worker_imports_compiled_modules(spark: SparkSession) -> None:
    where = spark.sparkContext.parallelize([0], 1).map(lambda _: __import__("pyspark").__file__)
    assert [Path(file) for file in where.collect()] == [Path(pyspark.__file__)]

"""The data source that reads tables by pyarrow, in this process and by Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.functions import spark_partition_id
from pyspark.sql.types import StructType

from kdsspark.output.output import Output
from kdsspark.query import fsspec_source

SCHEMA = StructType().add("x", "integer").add("y", "double").add("absent", "string")
SCHEMA = SCHEMA.add("network", "string").add("dataset", "string")


@pytest.fixture
def store(tmp_path: Path) -> Output:
    """A table of two files in partitions; the second has a column less, and one of another type."""
    x = np.arange(5, dtype=np.int32)
    for name, table in (
        ("a/dataset=d", pa.table({"x": x, "y": x / 2})),
        ("b/dataset=\u9ce5", pa.table({"x": x.astype(np.int64) + 5})),
    ):
        folder = tmp_path / "table" / f"network={name}"
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "part.parquet", row_group_size=2)
    return Output.at(str(tmp_path))


ROWS = [(i, i / 2, None, "a", "d") for i in range(5)]
ROWS += [(i, None, None, "b", "\u9ce5") for i in range(5, 10)]


def test_every_file_is_a_partition_with_the_columns_wanted(store: Output) -> None:
    """What executors do, without Spark."""
    source = fsspec_source.FsspecSource({"url": store.url, "table": "table"})
    reader = source.reader(SCHEMA)
    partitions = reader.partitions()
    assert len(partitions) == 2
    batches = [list(reader.read(partition)) for partition in partitions]
    assert [len(rows) for rows in batches] == [3, 3]  # a row group at a time
    table = pa.Table.from_batches([batch for rows in batches for batch in rows])
    assert table.schema.names == SCHEMA.names
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS


@pytest.mark.cluster  # ten seconds
def test_spark_reads_the_same_rows(store: Output, spark: SparkSession) -> None:
    frame = fsspec_source.frame(spark, store, "table", SCHEMA)
    # Not ``frame.rdd``, which looks for the source in the session that was used last.
    assert frame.select(spark_partition_id()).distinct().count() == 2
    assert sorted(map(tuple, frame.collect())) == ROWS


@pytest.mark.parametrize(
    ("url", "there"),
    [("/data/out", True), ("file:///data/out", True), ("memory://out", False), ("gs://b", False)],
)
def test_connectors(spark: SparkSession, url: str, there: bool) -> None:
    assert fsspec_source.has_connector(spark, url) == there

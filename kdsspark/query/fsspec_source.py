"""A Spark data source that reads tables with pyarrow, for stores that Spark itself cannot read.

Spark's own readers need a Hadoop connector for each object store, and credentials in Hadoop's
format. Where the cluster has no connector, executors read the files through fsspec, as all other
tasks do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from kdsspark.output import parquet
from kdsspark.output.names import partition_values
from kdsspark.output.store import Store


def has_connector(session: SparkSession, url: str) -> bool:
    """Whether Spark has a Hadoop file system for the scheme of ``url``; asks the JVM (driver)."""
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]

    scheme, separator, _ = url.partition("://")
    java: Any = session._jvm
    context: Any = session.sparkContext._jsc
    try:
        java.org.apache.hadoop.fs.FileSystem.getFileSystemClass(
            scheme if separator else "file", context.hadoopConfiguration()
        )
    except Py4JJavaError:
        return False
    return True


def frame(session: SparkSession, store: Store, table: str, schema: StructType) -> DataFrame:
    """A table of the output. ``schema``: its columns, then its partition columns."""
    session.dataSource.register(FsspecSource)
    reader = session.read.format(FsspecSource.name()).schema(schema)
    return reader.option("url", store.url).option("table", table).load()


class FsspecSource(DataSource):
    """``spark.read.format("kdsspark").option("url", output).option("table", name)``."""

    @classmethod
    def name(cls) -> str:
        """The argument of ``format``."""
        return "kdsspark"

    def reader(self, schema: StructType) -> DataSourceReader:
        """A reader of the table that the options name."""
        return _Reader(Store.at(self.options["url"]), self.options["table"], schema)


@dataclass(frozen=True)
class _Part(InputPartition):
    path: str


@dataclass(frozen=True)
class _Reader(DataSourceReader):
    store: Store
    table: str
    schema: StructType

    def partitions(self) -> list[InputPartition]:
        """One partition for each file (driver)."""
        return [_Part(path) for path in self.store.files(self.table)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of one file, a row group at a time (executor)."""
        assert isinstance(partition, _Part)
        wanted = to_arrow_schema(self.schema)
        for rows in parquet.row_groups(self.store, partition.path):
            yield from _conformed(rows, partition_values(partition.path), wanted).to_batches()


def _conformed(rows: pa.Table, values: dict[str, str], wanted: pa.Schema) -> pa.Table:
    """The columns of ``wanted``, from the file or its folders; null where neither has one."""
    columns = []
    for field in wanted:
        if field.name in rows.column_names:
            columns.append(rows[field.name].cast(field.type))
        elif field.name in values:
            columns.append(pa.repeat(pa.scalar(values[field.name], field.type), len(rows)))
        else:
            columns.append(pa.nulls(len(rows), field.type))
    return pa.Table.from_arrays(columns, schema=wanted)

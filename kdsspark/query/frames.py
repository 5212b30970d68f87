"""The tables of an output as Spark's data frames, by any session: classic or Spark Connect."""

from __future__ import annotations

import re

import pyarrow as pa
from pyspark import SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import Column, DataFrame, SparkSession, functions
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from kdsspark.errors import ConfigError
from kdsspark.output import parquet
from kdsspark.output.names import partition_values
from kdsspark.output.store import Store
from kdsspark.query import fsspec_source
from kdsspark.tables import Table


def rows(session: SparkSession, store: Store, table: Table) -> DataFrame:
    """All rows of a table, partition columns last.

    Spark's own reader is used where Spark has a connector for the store. A session of Spark Connect
    cannot tell, so there it is used always.
    """
    schema = columns(store, table)
    if not store.files(table.name):
        # The limit tells Spark that there is nothing, for which it would ask a Python worker.
        return session.createDataFrame([], schema).limit(0)
    url = location(store, table.name)
    if not (is_connect(session) or fsspec_source.has_connector(session, url)):
        return fsspec_source.frame(session, store, table.name, schema)
    return session.read.schema(schema).parquet(pattern(url))


def active() -> SparkSession:
    """The session that is active, or one in the Spark that a study has started in this process.

    Raises :class:`ConfigError` without either.
    """
    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        if SparkContext._active_spark_context:
            return SparkSession.builder.getOrCreate()
        raise ConfigError("a Spark session must be there to read by Spark, got none") from None


def column(name: str) -> Column:
    """A column by its name, which may hold dots."""
    return functions.col("`" + name.replace("`", "``") + "`")


def is_connect(session: SparkSession) -> bool:
    """Whether a session is one of Spark Connect, which has no JVM to ask."""
    return type(session).__module__.startswith("pyspark.sql.connect")


def columns(store: Store, table: Table) -> StructType:
    """The columns of a table as Spark reads them: all nullable, partition columns last."""
    fields = [*table.schema, *(_layers(store, table) if table.open_ended else ())]
    fields += [pa.field(name, pa.string()) for name in table.partitioned_by]
    return from_arrow_schema(pa.schema([field.with_nullable(True) for field in fields]))


def _layers(store: Store, table: Table) -> list[pa.Field]:
    """The layers of all networks; double where two networks give one name two types."""
    first_of: dict[str, str] = {}
    for path in store.files(table.name):
        first_of.setdefault(partition_values(path)["network"], path)
    layers: dict[str, pa.Field] = {}
    for path in first_of.values():
        for field in parquet.schema(store, path):
            if field.name in table.schema.names:
                continue
            known = layers.setdefault(field.name.lower(), field)  # Spark ignores case
            if known.type.value_type != field.type.value_type:
                layers[field.name.lower()] = known.with_type(pa.list_(pa.float64()))
    return list(layers.values())


def location(store: Store, name: str) -> str:
    """The URL of a table as Hadoop names it, whose file systems Spark reads with."""
    return f"{re.sub('^s3://', 's3a://', store.url)}/{name}"


def pattern(path: str) -> str:
    """A pattern that matches this path and no other, because Spark takes paths for patterns."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)

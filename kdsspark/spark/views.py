"""Every table of an output as a Spark SQL view of its name."""

from __future__ import annotations

import re

import pandas as pd
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from kdsspark.storage.files import Store
from kdsspark.tables import TABLES, Table


def register(session: SparkSession, store: Store) -> None:
    """Create or replace a temporary view for every table, also for those without rows yet.

    Views are named like the tables and have the partition columns as ordinary ones; ``embeddings``
    shows the columns that all networks share.
    """
    for table in TABLES.values():
        fields = [*table.schema, *(pa.field(name, pa.string()) for name in table.partitioned_by)]
        schema = from_arrow_schema(pa.schema([field.with_nullable(True) for field in fields]))
        if store.files(table.name):
            frame = session.read.schema(schema).parquet(_spark_url(store, table))
        else:
            frame = session.createDataFrame([], schema)
        frame.createOrReplaceTempView(table.name)


def query(session: SparkSession, sql: str) -> pd.DataFrame:
    """The result of a query as a data frame of the driver."""
    frame: pd.DataFrame = session.sql(sql).toPandas()
    return frame


def _spark_url(store: Store, table: Table) -> str:
    # Hadoop, which Spark reads with, knows S3 by this name only.
    return f"{re.sub('^s3://', 's3a://', store.url)}/{table.name}"

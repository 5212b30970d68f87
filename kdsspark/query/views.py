"""Every table of an output as a Spark SQL view of its name, and the ready-made ones (driver)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pandas as pd
import pyarrow as pa
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from kdsspark.errors import ConfigError, KdssparkError
from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.query import causes, fsspec_source
from kdsspark.query.view_queries import VIEW_QUERIES
from kdsspark.tables import TABLES, Table

RUNS: Final = "runs"
"""The view of the run records, one JSON file each in the folder of this name."""

RUNS_SCHEMA: Final = """
    id STRING, command STRING, started TIMESTAMP, finished TIMESTAMP, seconds DOUBLE,
    exit_code INT, error STRING, fingerprint STRING, configuration STRING,
    versions ARRAY<STRUCT<package: STRING, version: STRING>>,
    stages ARRAY<STRUCT<stage: STRING, seconds: DOUBLE>>,
    counts ARRAY<STRUCT<network: STRING, dataset: STRING, images: BIGINT, embedded: BIGINT,
                        failed: BIGINT, features: BIGINT>>,
    failures ARRAY<STRUCT<network: STRING, dataset: STRING, stage: STRING, error: STRING,
                          n: BIGINT>>,
    left_out ARRAY<STRUCT<dataset: STRING, class_name: STRING, ending: STRING, reason: STRING,
                          files: BIGINT>>
"""
"""What a run record says; see :mod:`kdsspark.pipeline.records`."""

STAGE_OF: Final = {
    "images": "index",
    **dict.fromkeys(("failures", "embeddings", "duplicates", "features"), "embed"),
    **dict.fromkeys(("ranges", "histograms", "ks", "distances"), "measure"),
    **dict.fromkeys(
        ("significance", "thresholds", "davg", "layers", "distribution", "survival"), "summarize"
    ),
    **dict.fromkeys(("transforms", "transform_features", "full_network", "pruned"), "transform"),
    "probe": "probe",
    RUNS: "run",
}
"""Table -> the stage that makes it."""

# SQLSTATE classes of mistakes in a query, not in the files or the machine: feature not supported,
# cardinality, data exception, syntax or names, limits of the program.
_MISTAKES: Final = ("0A", "21", "22", "42", "54")
_LOGGER: Final = "SQLQueryContextLogger"  # pyspark's


def register(session: SparkSession, store: Store, names: Iterable[str]) -> None:
    """Create or replace a temporary view for some tables, also for those without rows yet.

    Views are named like the tables and have the partition columns as ordinary ones; ``embeddings``
    has the layers of all networks, NULL where a network lacks one.
    """
    for table in (TABLES[name] for name in names):
        if store.files(table.name):
            frame = _frame(session, store, table)
        else:
            frame = session.createDataFrame([], columns(store, table))
        frame.createOrReplaceTempView(table.name)


def opened(session: SparkSession, store: Store) -> SparkSession:
    """A session of its own with a view for everything that the output holds, read-only.

    Those of :func:`register`, the ready-made ones whose tables are there, and ``runs``.
    """
    own = session.newSession()
    for name in present(store):
        if name == RUNS:
            frame = _runs(own, store)
        elif name in TABLES:
            frame = _frame(own, store, TABLES[name])
        else:
            frame = own.sql(VIEW_QUERIES[name].sql)
        # INSERT INTO would write to the files of a view that is a bare table, not to a query's.
        frame.select("*").createOrReplaceTempView(name)
    return own


def present(store: Store) -> list[str]:
    """Tables that have files, ``runs`` among them, then the ready-made views made of these."""
    found = [name for name in (*TABLES, RUNS) if store.files(name)]
    for name, query in VIEW_QUERIES.items():
        if set(query.reads) <= set(found):
            found.append(name)
    return found


@contextmanager
def explained(store: Store) -> Iterator[None]:
    """Turn whatever Spark says of a query that runs in the block into one line.

    Raises :class:`ConfigError` for a mistake in the query, and names the stage that makes a table
    which is not there yet; :class:`KdssparkError` for any other error of Spark.
    """
    log = PySparkLogger.getLogger(_LOGGER)
    before, log.disabled = log.disabled, True  # it would print the stack of every mistake
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise _mistake(store, error) from error
    finally:
        log.disabled = before


def _mistake(store: Store, error: PySparkException | Py4JJavaError) -> KdssparkError:
    if isinstance(error, PySparkException) and error.getCondition() == "TABLE_OR_VIEW_NOT_FOUND":
        name = (error.getMessageParameters() or {}).get("relationName", "").strip("`").lower()
        missing = [
            table for table in _tables_of(name) if table in STAGE_OF and not store.files(table)
        ]
        if missing:
            return ConfigError(
                f"{name} must be made before it is asked for, got no {missing[0]} in "
                f"{store.url}: run the {STAGE_OF[missing[0]]} stage first"
            )
    cause = causes.of(error)
    kind = ConfigError if cause.state.startswith(_MISTAKES) else KdssparkError
    return kind(cause.line)


def _tables_of(name: str) -> tuple[str, ...]:
    return VIEW_QUERIES[name].reads if name in VIEW_QUERIES else (name,)


def query(session: SparkSession, sql: str) -> pd.DataFrame:
    """The result of a query as a data frame of the driver."""
    frame: pd.DataFrame = session.sql(sql).toPandas()
    return frame


def columns(store: Store, table: Table) -> StructType:
    """The columns of a table as Spark reads it, partition columns last, all nullable."""
    fields = [*table.schema, *(_layers(store, table) if table.open_ended else ())]
    fields += [pa.field(name, pa.string()) for name in table.partitioned_by]
    return from_arrow_schema(pa.schema([field.with_nullable(True) for field in fields]))


def _layers(store: Store, table: Table) -> list[pa.Field]:
    """The layers of all networks; double where one name has two types."""
    first_of: dict[str, str] = {}
    for path in store.files(table.name):
        first_of.setdefault(path.split("/")[1], path)
    found: dict[str, pa.Field] = {}
    for path in first_of.values():
        for field in parquet.schema(store, path):
            if field.name in table.schema.names:
                continue
            known = found.setdefault(field.name.lower(), field)  # Spark takes no notice of case
            if known.type.value_type != field.type.value_type:
                found[field.name.lower()] = known.with_type(pa.list_(pa.float64()))
    return list(found.values())


def location(store: Store, name: str) -> str:
    """Where a table lies, as Hadoop, which Spark reads with, calls it."""
    return f"{re.sub('^s3://', 's3a://', store.url)}/{name}"


def _runs(session: SparkSession, store: Store) -> DataFrame:
    reader = session.read.schema(RUNS_SCHEMA)
    if fsspec_source.has_connector(session, location(store, RUNS)):
        return reader.json(_pattern(location(store, RUNS)))
    records = [json.dumps(store.read_json(path)) for path in store.files(RUNS)]
    return reader.json(session.sparkContext.parallelize(records))


def _frame(session: SparkSession, store: Store, table: Table) -> DataFrame:
    if not fsspec_source.has_connector(session, location(store, table.name)):
        return fsspec_source.frame(session, store, table.name, columns(store, table))
    path = _pattern(location(store, table.name))
    return session.read.schema(columns(store, table)).parquet(path)


def _pattern(path: str) -> str:
    """A path as a pattern that matches nothing else, for Spark takes paths for patterns."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)

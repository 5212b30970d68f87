"""Every table of an output as a Spark SQL view of its name, and the ready-made ones (driver)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import pandas as pd
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from kdsspark import causes
from kdsspark.errors import ConfigError, KdssparkError
from kdsspark.output.store import Store
from kdsspark.query import frames, fsspec_source
from kdsspark.query.view_queries import VIEW_QUERIES, needs, reads
from kdsspark.tables import IMAGE_CLASSES, IMAGES, TABLES

RUNS: Final = "runs"
"""The view of the run records. The folder of this name has one JSON file for each run."""

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
                          files: BIGINT>>,
    processors ARRAY<STRUCT<network: STRING, dataset: STRING, computed_on: STRING,
                            images: BIGINT>>
"""
"""The fields of a run record; :mod:`kdsspark.pipeline.records` writes them."""

# SQLSTATE classes of mistakes in a query, not in the files or the machine: feature not supported,
# cardinality, data exception, syntax or names, limits of the program.
_MISTAKES: Final = ("0A", "21", "22", "42", "54")
_LOGGER: Final = "SQLQueryContextLogger"  # pyspark's


def opened(session: SparkSession, store: Store, names: Iterable[str] | None = None) -> SparkSession:
    """A session of its own with read-only temporary views of the output.

    Without ``names``: a view for everything that the output holds, which is its tables, the
    ready-made views of them, and ``runs``. With ``names``: these tables and ready-made views, and
    what they read; a table without files is then an empty view.

    Views have the partition columns of their table as ordinary ones. ``embeddings`` has the layers
    of all networks, NULL where a network lacks one.
    """
    own = session.newSession()
    for name in present(store) if names is None else needs(names):
        # INSERT INTO would write to the files of a view that is a bare table, not to a query's.
        _frame(own, store, name).select("*").createOrReplaceTempView(name)
    return own


def present(store: Store) -> list[str]:
    """Tables that have files, ``runs`` among them, then the ready-made views made of these."""
    names = [name for name in (*TABLES, RUNS) if store.files(name)]
    if IMAGES.name in names:  # one label an image has no rows there, and views read both
        names = list(dict.fromkeys([*names, IMAGE_CLASSES.name]))
    for name, query in VIEW_QUERIES.items():
        if set(reads(query)) <= set(names):
            names.append(name)
    return names


@contextmanager
def explained(store: Store, stage_of: Mapping[str, str]) -> Iterator[None]:
    """Turn the errors of queries that run in the block into errors of one line.

    ``stage_of`` maps tables to the stages that make them. Raises :class:`ConfigError` for a wrong
    query; where a table is missing, it names the stage that makes it. Raises
    :class:`KdssparkError` for any other error of Spark.
    """
    log = PySparkLogger.getLogger(_LOGGER)
    before, log.disabled = log.disabled, True  # it would print the stack of every mistake
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raise _mistake(store, stage_of, error) from error
    finally:
        log.disabled = before


def _mistake(
    store: Store, stage_of: Mapping[str, str], error: PySparkException | Py4JJavaError
) -> KdssparkError:
    if isinstance(error, PySparkException) and error.getCondition() == "TABLE_OR_VIEW_NOT_FOUND":
        name = (error.getMessageParameters() or {}).get("relationName", "").strip("`").lower()
        missing = [table for table in needs([name]) if table in stage_of and not store.files(table)]
        if missing:
            return ConfigError(
                f"{name} must be made before it is asked for, got no {missing[0]} in "
                f"{store.url}: run the {stage_of[missing[0]]} stage first"
            )
    cause = causes.of(error)
    kind = ConfigError if cause.state.startswith(_MISTAKES) else KdssparkError
    return kind(cause.line)


def query(session: SparkSession, sql: str) -> pd.DataFrame:
    """The result of a query as a data frame on the driver."""
    frame: pd.DataFrame = session.sql(sql).toPandas()
    return frame


def _frame(session: SparkSession, store: Store, name: str) -> DataFrame:
    if name in VIEW_QUERIES:
        return session.sql(VIEW_QUERIES[name])
    return _runs(session, store) if name == RUNS else frames.rows(session, store, TABLES[name])


def _runs(session: SparkSession, store: Store) -> DataFrame:
    reader = session.read.schema(RUNS_SCHEMA)
    if fsspec_source.has_connector(session, frames.location(store, RUNS)):
        return reader.json(frames.pattern(frames.location(store, RUNS)))
    records = [json.dumps(store.read_json(path)) for path in store.files(RUNS)]
    return reader.json(session.sparkContext.parallelize(records))

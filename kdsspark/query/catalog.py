"""The tables and ready-made views of an output in a metastore, for other sessions (driver).

Tables are external: the metastore knows where the files are, and dropping a table leaves the files.
Every table and view that this module registers has the output's URL as the property
``kdsspark.output``. The module replaces only what came from the same output.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, cast

from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from kdsspark.config import Spark
from kdsspark.errors import ConfigError
from kdsspark.output.store import Store
from kdsspark.query import frames, fsspec_source, views
from kdsspark.query.view_queries import VIEW_QUERIES
from kdsspark.tables import TABLES

_PROPERTY: Final = "kdsspark.output"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def with_metastore(settings: Spark) -> Spark:
    """``settings`` with a Hive metastore, unless they name another catalog.

    Spark's own catalog ends with the process. The metastore is the one that ``hive-site.xml`` or
    ``spark.hadoop.javax.jdo.option.*`` names, else an embedded one in ``metastore_db/`` of the
    working directory.
    """
    conf = {"spark.sql.catalogImplementation": "hive", **settings.conf}
    return settings.model_copy(update={"conf": conf})


def register(session: SparkSession, store: Store, database: str) -> list[str]:
    """Create or update every table and view that the output has files for; returns their names.

    Adds new partitions. Drops partitions that are gone, and tables and views of this output that
    have no files any more. Raises :class:`ConfigError` for a malformed ``database``, where the
    database already has another table or view of a needed name, and where Spark has no connector
    for the output, because only Spark reads the tables of a metastore.
    """
    if not _NAME.fullmatch(database):
        raise ConfigError(f"--catalog must match {_NAME.pattern}, got {database!r}")
    if not fsspec_source.has_connector(session, frames.location(store, "")):
        raise ConfigError(
            f"output: must be on a store that Spark has a Hadoop connector for, got {store.url}"
        )
    own = session.newSession()  # temporary views of `session` would hide the tables
    own.sql(f"CREATE DATABASE IF NOT EXISTS spark_catalog.{database}")
    own.sql(f"USE spark_catalog.{database}")
    names = views.present(store)
    kept = [name for name in names if _is_ours(own, store, database, name)]
    for name in names:
        if name in VIEW_QUERIES:
            properties = _properties(store)
            own.sql(f"CREATE OR REPLACE VIEW {name} {properties} AS {VIEW_QUERIES[name]}")
        elif name == views.RUNS:
            runs = cast(StructType, StructType.fromDDL(views.RUNS_SCHEMA))
            _create(own, store, name, runs, (), "json", name in kept)
        else:
            table = TABLES[name]
            schema = frames.columns(store, table)
            if not store.files(name):  # which views read all the same
                own.sql(f"DROP TABLE IF EXISTS {name}")
                _create(own, store, name, schema, table.partitioned_by, "parquet", False)
                continue
            _create(own, store, name, schema, table.partitioned_by, "parquet", name in kept)
            own.sql(f"MSCK REPAIR TABLE {name} SYNC PARTITIONS")
    _drop_outdated(own, store, database, names)
    return names


def _drop_outdated(
    session: SparkSession, store: Store, database: str, names: Collection[str]
) -> None:
    """Drop what came from this output and has no files there any more, views before tables."""
    for name in (*reversed(VIEW_QUERIES), *TABLES, views.RUNS):
        if name not in names and _origin(session, database, name) == store.url:
            session.sql(f"DROP {'VIEW' if name in VIEW_QUERIES else 'TABLE'} {name}")


def _is_ours(session: SparkSession, store: Store, database: str, name: str) -> bool:
    """Whether ``name`` exists and came from this output; raises where it came from elsewhere."""
    if not session.catalog.tableExists(f"spark_catalog.{database}.{name}"):
        return False
    output = _origin(session, database, name)
    if output != store.url:
        origin = "one that kdsspark did not make" if output is None else f"one of {output}"
        raise ConfigError(
            f"--catalog: {database}.{name} must be new or of {store.url}, got {origin}: "
            f"choose another catalog, or drop it"
        )
    return True


def _origin(session: SparkSession, database: str, name: str) -> str | None:
    """The output that a table or view came from; None where there is none or it is of others."""
    if not session.catalog.tableExists(f"spark_catalog.{database}.{name}"):
        return None
    rows = session.sql(f"SHOW TBLPROPERTIES {name}").collect()
    return {row["key"]: str(row["value"]) for row in rows}.get(_PROPERTY)


def _create(
    session: SparkSession,
    store: Store,
    name: str,
    schema: StructType,
    partitioned_by: Sequence[str],
    source: str,
    exists: bool,
) -> None:
    if exists:
        if session.table(name).schema.simpleString() == schema.simpleString():
            return
        session.sql(f"DROP TABLE {name}")  # its files stay
    columns = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in schema)
    partitions = f"PARTITIONED BY ({', '.join(partitioned_by)})" if partitioned_by else ""
    session.sql(
        f"CREATE TABLE {name} ({columns}) USING {source} {partitions} "
        f"LOCATION {_text(frames.location(store, name))} {_properties(store)}"
    )


def _properties(store: Store) -> str:
    return f"TBLPROPERTIES ({_text(_PROPERTY)} = {_text(store.url)})"


def _text(value: str) -> str:
    """A string literal of Spark SQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

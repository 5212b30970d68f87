"""The views of an output in DuckDB, which answers the questions of the report (driver).

The same SQL as in Spark gives the same rows. The report asks about twenty questions, each of which
ends in few rows: Spark spends half a minute of a core on compiling and scheduling them, DuckDB one
or two seconds. It reads the files in pieces, and keeps on disk what its memory does not hold.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import duckdb
import pandas as pd
import pyarrow as pa

from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.query.view_queries import VIEW_QUERIES, needs
from kdsspark.tables import TABLES, Table

_MEMORY: Final = "2GB"  # beyond it, DuckDB writes to the disk

Connection = duckdb.DuckDBPyConnection
"""A database of its own for whoever asks."""


@contextmanager
def opened(store: Store, names: Iterable[str]) -> Iterator[Connection]:
    """A database in memory with these tables and ready-made views, and what they read.

    A table without files has no rows. Columns that files of earlier versions lack are null.
    """
    with tempfile.TemporaryDirectory(prefix="kdsspark-") as folder, duckdb.connect() as database:
        database.execute(f"SET temp_directory = '{folder}'")
        database.execute(f"SET memory_limit = '{_MEMORY}'")
        for name in needs(names):
            if name in VIEW_QUERIES:
                database.execute(f"CREATE VIEW {name} AS {VIEW_QUERIES[name]}")
            else:
                database.register(name, _rows(store, TABLES[name]))
        yield database


def _rows(store: Store, table: Table) -> pa.dataset.Dataset | pa.Table:
    files = store.files(table.name)
    if not files:
        return parquet.read(store, table)
    folders = [pa.field(name, pa.string()) for name in table.partitioned_by]
    columns = [field.with_nullable(True) for field in (*table.schema, *folders)]
    return parquet.dataset(store, table, files).replace_schema(pa.schema(columns))


def query(database: Connection, sql: str) -> pd.DataFrame:
    """The result of a query as a data frame; sums of integers have 64 bits, as by Spark."""
    answer = database.sql(sql)
    wide = (n for n, kind in zip(answer.columns, answer.types, strict=True) if kind == "HUGEINT")
    sums = ", ".join(f'CAST("{name}" AS BIGINT) AS "{name}"' for name in wide)
    narrowed = answer.project(f"* REPLACE ({sums})") if sums else answer
    frame: pd.DataFrame = narrowed.to_arrow_table().to_pandas()
    return frame

"""Parts of tables: Parquet files that agree with their declaration in :mod:`kdsspark.tables`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from kdsspark.output.store import Store
from kdsspark.tables import Table


class PartWriter:
    """An open Parquet file; every table written becomes a row group."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema, **_options(schema))
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Append a row group; raises ValueError where ``table`` does not have the schema."""
        self._writer.write_table(conform(table, self._schema), row_group_size=max(1, len(table)))
        self.rows += len(table)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


@contextmanager
def writer(store: Store, path: str, schema: pa.Schema) -> Iterator[PartWriter]:
    """Write one Parquet file piece by piece; it appears when the block ends without error."""
    with store.create(path) as file, closing(PartWriter(file, schema)) as part:
        yield part


def write(store: Store, path: str, tables: pa.Table | Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write one Parquet file, a row group per table; returns the number of rows."""
    with writer(store, path, schema) as part:
        for table in [tables] if isinstance(tables, pa.Table) else tables:
            part.write(table)
    return part.rows


def write_rows(store: Store, path: str, rows: Sequence[Mapping[str, Any]], table: Table) -> None:
    """Write the file of a part of ``table`` from few rows, as one row group."""
    write(store, path, pa.Table.from_pylist(rows, table.schema), table.schema)


def _options(schema: pa.Schema) -> dict[str, object]:
    # Dictionaries pay for names and small integers; floating point numbers repeat too rarely.
    # Activations hardly compress, so the lists of an embedding are stored plainly. Of counts a
    # measurement writes so many that time counts: lz4 takes 9.4 ns and 0.8 bytes for one, zstd
    # 12.8 and 0.4, no compression 9.0 and 4.1 (100 bins, 200 images a class). Other tables have
    # lz4 for floating point numbers, too: a row of `ks` takes 152 ns and 47 bytes, with zstd for
    # all 247 and 42.
    plain = [f.name for f in schema if pa.types.is_list(f.type) or pa.types.is_floating(f.type)]
    lists = [f.type.value_type for f in schema if pa.types.is_list(f.type)]
    values, counts = any(map(pa.types.is_floating, lists)), any(map(pa.types.is_integer, lists))
    by_column = {f.name: "lz4" if f.name in plain else "zstd" for f in schema}
    return {
        "compression": "none" if values else "lz4" if counts else by_column,
        "use_dictionary": [f.name for f in schema if f.name not in plain],
        "write_statistics": [f.name for f in schema if not pa.types.is_list(f.type)],
    }


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly the columns of ``schema``, in its order; ValueError if it cannot."""
    if set(table.column_names) != set(schema.names):
        raise ValueError(f"expected columns {schema.names}, got {table.column_names}")
    return table.select(schema.names).cast(schema)  # which refuses nulls, too


def completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema``, null where the table lacks one, as files of earlier versions do.

    Raises ValueError where that column must not be null.
    """
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field.name, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)


def read(
    store: Store, table: Table, *partition: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """All rows of a table, or of one partition of it, partition columns included (driver).

    ``columns`` limits what is read. A table without files has no rows, but all its columns.
    """
    files = store.files(table.partition(*partition))
    if not files:
        empty = pa.schema([*table.schema, *_folders(table)]).empty_table()
        return empty.select(list(columns)) if columns else empty
    return dataset(store, table, files).to_table(columns=list(columns) if columns else None)


def dataset(store: Store, table: Table, files: Sequence[str]) -> pa.dataset.Dataset:
    """Some files of a table, at least one, with its partition columns; nothing is read yet."""
    from pyarrow import dataset as files_of  # which most commands do without
    from pyarrow.fs import LocalFileSystem

    return files_of.dataset(
        [store.path(name) for name in files],
        # Arrow reads local files itself, without Python, for which threads would wait.
        filesystem=LocalFileSystem() if store.is_local else store.fs,
        format="parquet",
        partitioning=files_of.partitioning(_folders(table), flavor="hive"),
        partition_base_dir=store.path(table.name),
    )


def _folders(table: Table) -> pa.Schema:
    """The partition columns, which are names of folders."""
    return pa.schema([(name, pa.string()) for name in table.partitioned_by])


def read_file(store: Store, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One Parquet file of the store; raises FileNotFoundError."""
    with _open(store, path) as file:
        return file.read(columns=list(columns) if columns else None)


def schema(store: Store, path: str) -> pa.Schema:
    """The columns of one file."""
    with _open(store, path) as file:
        return file.schema_arrow


def row_groups(
    store: Store,
    path: str,
    columns: Sequence[str] | None = None,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[pa.Table]:
    """Rows ``start`` to ``stop`` of one file, a row group (or what is wanted of it) at a time."""
    first = 0
    with _open(store, path) as file:
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            last = rows + first if stop is None else min(rows + first, stop)
            if max(start, first) < last:
                group = file.read_row_group(number, columns=list(columns) if columns else None)
                skipped = max(start - first, 0)
                yield group.slice(skipped, last - first - skipped)
            first += rows


@contextmanager
def _open(store: Store, path: str) -> Iterator[pq.ParquetFile]:
    # Mapped into memory, values are copied once, from the page cache to where they are wanted.
    source = (
        pa.memory_map(store.path(path)) if store.is_local else store.fs.open(store.path(path), "rb")
    )
    with source, pq.ParquetFile(source) as file:
        yield file


def nullable(values: npt.NDArray[np.float64]) -> pa.Array:
    """NaN, which stands for undefined in arrays, as null, which does in tables."""
    return pa.array(values, mask=np.isnan(values))

"""What many small files say, kept in one file as well (driver).

A night that adds a hundred images to millions lists the files of an output, but reads only those
that are new or changed: the others are in the gathered file, by their path and version.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.storage import parquet
from kdsspark.storage.files import Store

FOLDER: Final = "_gathered"

_READERS: Final = 16
_WORTH_KEEPING: Final = 64  # files to read anew; fewer are read as fast as a gathered file
_ORIGIN: Final = [("path", pa.string()), ("version", pa.string())]


def rows(
    store: Store, kept: str, below: str, load: Callable[[str], pa.Table], schema: pa.Schema
) -> pa.Table:
    """The rows of every file below a folder: columns ``path``, ``version`` and those of ``schema``.

    ``load`` reads one file; ``kept`` names what :func:`keep` has gathered of them, if it has.
    """
    current, fresh = _known(store, kept, below, schema)
    return _with_fresh(current, fresh, load, schema)


def keep(
    store: Store, kept: str, below: str, load: Callable[[str], pa.Table], schema: pa.Schema
) -> None:
    """Gather the files below a folder, where enough of them are not; only under the lock."""
    current, fresh = _known(store, kept, below, schema)
    if len(fresh) >= _WORTH_KEEPING:
        gathered = _with_fresh(current, fresh, load, schema)
        parquet.write(store, _path(kept), gathered, gathered.schema)


def _path(kept: str) -> str:
    return f"{FOLDER}/{kept}.parquet"


def _known(
    store: Store, kept: str, below: str, schema: pa.Schema
) -> tuple[pa.Table, dict[str, str]]:
    """What is gathered and still so; path -> version of the other files."""
    versions, path = store.versions(below), _path(kept)
    known = parquet.read_file(store, path) if versions and store.exists(path) else None
    if known is None or known.schema.names != _with_origin(schema).names:
        known = _with_origin(schema).empty_table()
    current = known.filter(_is_current(known, versions))
    held = set(pc.unique(current["path"]).to_pylist())
    return current, {name: version for name, version in versions.items() if name not in held}


def _with_fresh(
    current: pa.Table,
    fresh: dict[str, str],
    load: Callable[[str], pa.Table],
    schema: pa.Schema,
) -> pa.Table:
    with ThreadPoolExecutor(_READERS) as pool:
        found = [
            _tagged(name, version, table.select(schema.names).cast(schema))
            for (name, version), table in zip(fresh.items(), pool.map(load, fresh), strict=True)
        ]
    return pa.concat_tables([current, *found])


def _with_origin(schema: pa.Schema) -> pa.Schema:
    return pa.schema([*(pa.field(*column, nullable=False) for column in _ORIGIN), *schema])


def _is_current(known: pa.Table, versions: dict[str, str]) -> pa.ChunkedArray:
    """Which rows are of files that are there, in the version that is there."""
    now = pa.table({"path": list(versions), "version": list(versions.values())}, pa.schema(_ORIGIN))
    tokens = [
        pc.binary_join_element_wise(table["path"], table["version"], "\0") for table in (known, now)
    ]
    return pc.is_in(tokens[0], value_set=tokens[1].combine_chunks())


def _tagged(path: str, version: str, table: pa.Table) -> pa.Table:
    origin = [pa.repeat(pa.scalar(text, pa.string()), len(table)) for text in (path, version)]
    return pa.Table.from_arrays([*origin, *table.columns], schema=_with_origin(table.schema))

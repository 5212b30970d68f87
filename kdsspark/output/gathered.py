"""What many small files say, kept in one file as well (driver).

A night that adds a hundred images to millions lists the files of an output, but reads only those
that are new or changed: the others are in the gathered file, by their path and version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.output import parquet
from kdsspark.output.store import Store

FOLDER: Final = "_gathered"

_READERS: Final = 16
_WORTH_KEEPING: Final = 64  # files to read anew; fewer are read as fast as a gathered file
_FILES_AT_ONCE: Final = 1024  # read, before their rows become one piece of a table
_TEXT: Final = pa.dictionary(pa.int32(), pa.string())  # said once a file, not once a row
_ORIGIN: Final = [("path", _TEXT), ("version", _TEXT)]


def rows(
    store: Store,
    kept: str,
    below: str,
    load: Callable[[str], pa.Table],
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The rows of every file below a folder: columns ``path``, ``version`` and those of ``schema``.

    ``load`` reads one file; ``kept`` names what :func:`keep` has gathered of them, if it has.
    ``columns`` limits what is held in memory of the schema's.
    """
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    current, fresh = _known(store, kept, below, schema, wanted)
    return _with_fresh(current, fresh, load, wanted)


def keep(
    store: Store, kept: str, below: str, load: Callable[[str], pa.Table], schema: pa.Schema
) -> None:
    """Gather the files below a folder, where enough of them are not; only under the lock."""
    current, fresh = _known(store, kept, below, schema, schema)
    if len(fresh) >= _WORTH_KEEPING:
        gathered = _with_fresh(current, fresh, load, schema)
        parquet.write(store, _path(kept), gathered, gathered.schema)


def _path(kept: str) -> str:
    return f"{FOLDER}/{kept}.parquet"


def _known(
    store: Store, kept: str, below: str, schema: pa.Schema, wanted: pa.Schema
) -> tuple[pa.Table, dict[str, str]]:
    """What is gathered and still so, columns ``wanted``; path -> version of the other files."""
    versions, columns = store.versions(below), _with_origin(wanted)
    known = _gathered(store, _path(kept), schema, columns) if versions else columns.empty_table()
    good = _is_current(known, versions)
    current = known if good.all() else known.filter(pa.array(good))
    held = set(pc.unique(current["path"]).to_pylist())
    return current, {name: version for name, version in versions.items() if name not in held}


def _gathered(store: Store, path: str, schema: pa.Schema, columns: pa.Schema) -> pa.Table:
    """Nothing where nothing is gathered, or other columns are, by an earlier version."""
    if not store.exists(path) or parquet.schema(store, path).names != _with_origin(schema).names:
        return columns.empty_table()
    return parquet.read_file(store, path, columns.names).cast(columns)


def _with_fresh(
    current: pa.Table,
    fresh: dict[str, str],
    load: Callable[[str], pa.Table],
    schema: pa.Schema,
) -> pa.Table:
    found, files = [current], list(fresh.items())
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(files), _FILES_AT_ONCE):
            some = dict(files[start : start + _FILES_AT_ONCE])
            tables = [table.select(schema.names).cast(schema) for table in pool.map(load, some)]
            found.append(_tagged(some, tables))
    return pa.concat_tables(found).unify_dictionaries()


def _with_origin(schema: pa.Schema) -> pa.Schema:
    return pa.schema([*(pa.field(*column, nullable=False) for column in _ORIGIN), *schema])


def _is_current(known: pa.Table, versions: dict[str, str]) -> npt.NDArray[np.bool_]:
    """Which rows are of files that are there, in the version that is there."""
    paths, versions_held = (
        known[name].cast(_TEXT).unify_dictionaries().combine_chunks() for name, _ in _ORIGIN
    )
    now = pa.array([versions.get(path) for path in paths.dictionary.to_pylist()], pa.string())
    wanted = pc.fill_null(pc.index_in(now, value_set=versions_held.dictionary), -1).to_numpy()
    return np.asarray(wanted[paths.indices.to_numpy()] == versions_held.indices.to_numpy())


def _tagged(versions: dict[str, str], tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of some files (path -> version) in one piece, with where they are from."""
    rows = pa.concat_tables(tables).combine_chunks()
    file = np.repeat(np.arange(len(tables), dtype=np.int32), [len(table) for table in tables])
    origin = [
        pa.DictionaryArray.from_arrays(file, pa.array(list(texts), pa.string()))
        for texts in (versions, versions.values())
    ]
    return pa.Table.from_arrays([*origin, *rows.columns], schema=_with_origin(rows.schema))

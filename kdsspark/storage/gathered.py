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

from kdsspark.storage import parquet
from kdsspark.storage.files import Store

FOLDER: Final = "_gathered"

_READERS: Final = 16
_WORTH_KEEPING: Final = 64  # files to read anew; fewer are read as fast as a gathered file
_FILES_AT_ONCE: Final = 1024  # read, before their rows become one piece of a table
_TEXT: Final = pa.dictionary(pa.int32(), pa.string())  # said once a file, not once a row
_ORIGIN: Final = [("path", _TEXT), ("version", _TEXT)]


def rows(
    store: Store, kept: str, below: str, load: Callable[[str], pa.Table], schema: pa.Schema
) -> pa.Table:
    """The rows of every file below a folder: columns ``path``, ``version`` and those of ``schema``.

    ``load`` reads one file; ``kept`` names what :func:`keep` has gathered of them, if it has.
    """
    versions = store.versions(below)
    path = f"{FOLDER}/{kept}.parquet"
    known = parquet.read_file(store, path) if versions and store.exists(path) else None
    if known is None or known.schema.names != _with_origin(schema).names:
        known = _with_origin(schema).empty_table()
    known = known.cast(_with_origin(schema))
    good = _is_current(known, versions)
    current = known if good.all() else known.filter(pa.array(good))
    held = set(pc.unique(current["path"]).to_pylist())
    fresh = [name for name in versions if name not in held]
    found = [current]
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(fresh), _FILES_AT_ONCE):
            some = fresh[start : start + _FILES_AT_ONCE]
            found.append(_tagged(some, versions, list(pool.map(load, some)), schema))
    return pa.concat_tables(found).unify_dictionaries()


def keep(
    store: Store, kept: str, below: str, load: Callable[[str], pa.Table], schema: pa.Schema
) -> None:
    """Gather the files below a folder, where enough of them are not; only under the lock."""
    path = f"{FOLDER}/{kept}.parquet"
    known = parquet.read_file(store, path, ["path", "version"]) if store.exists(path) else None
    versions = store.versions(below)
    current = 0
    if known is not None:
        good = pa.array(_is_current(known, versions))
        current = len(pc.unique(known["path"].filter(good)))
    if len(versions) - current >= _WORTH_KEEPING:
        gathered = rows(store, kept, below, load, schema)
        parquet.write(store, path, gathered, _with_origin(schema))


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


def _tagged(
    paths: Sequence[str], versions: dict[str, str], tables: Sequence[pa.Table], schema: pa.Schema
) -> pa.Table:
    """The rows of some files in one piece, with where they are from."""
    rows = pa.concat_tables([table.select(schema.names).cast(schema) for table in tables])
    file = np.repeat(np.arange(len(paths), dtype=np.int32), [len(table) for table in tables])
    texts = (paths, [versions[path] for path in paths])
    origin = [pa.DictionaryArray.from_arrays(file, pa.array(t, pa.string())) for t in texts]
    columns = [*origin, *rows.combine_chunks().columns]
    return pa.Table.from_arrays(columns, schema=_with_origin(rows.schema))

"""Which file holds the features of which bytes, so that they need not be computed again.

The driver writes, for each kind of processor, a sorted list of what all datasets of a network hold.
A task looks contents up there. A list is no promise: while tasks run, files are replaced, so what
is found is held against the ``content`` of its row. Rows that a shard loses are set aside until all
tasks have ended, for the image may only have moved.
"""

from __future__ import annotations

import uuid
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.hashing import fingerprint
from kdsspark.output.names import REUSE, stem
from kdsspark.output.store import Store

Keys = npt.NDArray[np.uint64]
"""The first half of each hash: 8 bytes are enough to find a row, which then tells the whole."""


def keys(contents: pa.ChunkedArray) -> Keys:
    """The keys of hashes in hex; 0 for null."""
    return np.array([_key(text) if text else 0 for text in contents.to_pylist()], np.uint64)


def _key(content: str) -> int:
    return int(content[:16], 16)


def aside(part: str) -> str:
    """Where the rows lie that a file of ``embeddings`` has lost in this run."""
    return f"{REUSE}/{part.partition('/')[2]}"


def write(store: Store, network: str, held: pa.Table, prefix: str) -> str:
    """Write the lists of a network, and return their folder; empty if nothing is held (driver).

    ``held`` has columns ``path``, ``key`` and ``computed_on``. Rows count if their file is named by
    ``prefix`` and it is known what they were computed on.
    """
    folder = f"{REUSE}/network={network}/contents-{uuid.uuid4().hex[:12]}"
    path, kind = (held[name].combine_chunks() for name in ("path", "computed_on"))
    ours = np.array([stem(name).startswith(prefix) for name in path.dictionary.to_pylist()], bool)
    kinds = kind.indices.fill_null(-1).to_numpy()
    found = held["key"].to_numpy()
    for number, computed_on in enumerate(kind.dictionary.to_pylist()):
        rows = np.flatnonzero((kinds == number) & ours[path.indices.to_numpy()])
        if len(rows):
            unique, first = np.unique(found[rows], return_index=True)
            table = pa.table({"key": unique, "path": path.take(pa.array(rows[first]))})
            _write(store, _list(folder, computed_on), table)
    return folder if store.files(folder) else ""


def _list(folder: str, computed_on: str) -> str:
    return f"{folder}/{fingerprint(computed_on)}.arrow"


def _write(store: Store, path: str, table: pa.Table) -> None:
    with store.create(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(table)))


def file_of(store: Store, folder: str, computed_on: str, content: str) -> str | None:
    """The file that held a row of this content when the run began, if there was one (executor)."""
    known = _opened(store, _list(folder, computed_on))
    if known is None:
        return None
    keys, paths = known
    at = int(np.searchsorted(keys, np.uint64(_key(content))))
    found = at < len(keys) and int(keys[at]) == _key(content)
    return paths[at].as_py() if found else None


@lru_cache(maxsize=1)
def _opened(store: Store, path: str) -> tuple[Keys, pa.Array] | None:
    """Both columns of a list; None where there is none. On local stores they stay in the file."""
    try:
        if store.is_local:
            table = pa.ipc.open_file(pa.memory_map(store.path(path))).read_all()
        else:
            with store.fs.open(store.path(path), "rb") as file:
                table = pa.ipc.open_file(file).read_all()
    except FileNotFoundError:
        return None
    return table["key"].to_numpy(), table["path"].combine_chunks()

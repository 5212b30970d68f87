"""The bytes that a ``uri`` of the table ``images`` names (executor).

A uri is one of

- ``data/a/1.jpg``: a file, by a local path or any fsspec URL;
- ``data/shard-0.tar#1536:20480:a/1.jpg``: a member of a tar file, by its first byte and its
  length, so that only those are read; its name is for people;
- ``data/train-0.parquet#17``: a row of a Parquet file, counted from 0.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from kdsspark.output.filesystems import file_version, is_local, read_range

HELD_BYTES: Final = 2**28
"""Row groups of Parquet files that a process holds for its next reads, in bytes (256 MiB)."""

_TAR_MEMBER: Final = re.compile(r"(.+\.tar)#(\d+):(\d+):.*", re.DOTALL | re.IGNORECASE)
_PARQUET_ROW: Final = re.compile(r"(.+\.(?:parquet|pq))#(\d+)", re.DOTALL | re.IGNORECASE)


_MEMBER: Final = r"(?is)^(?P<file>.+?\.(?:tar|parquet|pq))#(?P<at>\d+)(?::\d+:.*)?$"


def storage_order(uris: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """(file, int64 position in it) of images that lie in tar or Parquet files; else ("", 0)."""
    found = pc.extract_regex(uris, _MEMBER)
    at = pc.cast(pc.struct_field(found, "at"), pa.int64())
    return pc.fill_null(pc.struct_field(found, "file"), ""), pc.fill_null(at, 0)


def tar_member(uri: str, start: int, size: int, name: str) -> str:
    """The uri of the member ``name`` of a tar file, whose bytes begin at ``start``."""
    return f"{uri}#{start}:{size}:{name}"


def fetch(uri: str, limit: int) -> bytes:
    """All bytes of the image that ``uri`` names.

    Raises ValueError above ``limit`` bytes, and whatever the store raises.
    """
    if member := _TAR_MEMBER.fullmatch(uri):
        return _read_range(member[1], int(member[2]), int(member[3]), limit)
    if row := _PARQUET_ROW.fullmatch(uri):
        data = _read_row(row[1], int(row[2]))
    else:
        fs, path = _locate(uri)
        data = read_range(fs, path, 0, limit + 1)
    _refuse_large(len(data), limit)
    return data


def _locate(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """As ``url_to_fs``, which would take the ``::`` of a folder named so for a chain of stores."""
    first, *rest = uri.split("::")
    if "://" in uri and all("://" in link for link in rest):
        fs, path = url_to_fs(uri)
    else:
        fs, _ = url_to_fs(first)
        path = fs._strip_protocol(uri)
    return fs, path


def _refuse_large(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"file must have at most {limit:,} bytes, got more")


def _read_range(uri: str, start: int, size: int, limit: int) -> bytes:
    _refuse_large(size, limit)
    fs, path = _locate(uri)
    data = read_range(fs, path, start, start + size)
    if len(data) < size:
        raise ValueError(f"tar file must hold {size:,} bytes from {start:,} on, got {len(data):,}")
    return data


# -- rows of Parquet files ----------------------------------------------------------------------


_Key = tuple[str, str, int]  # uri and version of the file, number of the row group


class _RowGroups:
    """The row groups used last, as far as ``HELD_BYTES`` go; each is read by one thread, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[_Key, Future[pa.ChunkedArray]] = OrderedDict()

    def get(self, key: _Key, load: Callable[[], pa.ChunkedArray]) -> pa.ChunkedArray:
        with self._lock:
            future = self._held.get(key)
            if wanted := future is None:
                future = self._held[key] = Future()
            self._held.move_to_end(key)
        if wanted:
            self._load(key, future, load)
        return future.result()

    def _load(
        self,
        key: _Key,
        future: Future[pa.ChunkedArray],
        load: Callable[[], pa.ChunkedArray],
    ) -> None:
        try:
            future.set_result(load())
        except BaseException as error:
            future.set_exception(error)
        with self._lock:
            if future.exception():
                del self._held[key]  # the next to ask tries again
            self._release()

    def _release(self) -> None:
        finished = [
            (key, future.result().nbytes)
            for key, future in self._held.items()
            if future.done() and not future.exception()
        ]
        total = sum(size for _, size in finished)
        for key, size in finished[:-1]:
            if total > HELD_BYTES:
                del self._held[key]
                total -= size


_row_groups = _RowGroups()


class _Footer(NamedTuple):
    metadata: pq.FileMetaData
    starts: list[int]  # the first row of each row group, and the number of rows
    column: str  # what to read of ``image``


def _read_row(uri: str, row: int) -> bytes:
    """The image of one row. Its whole row group is read, and held for the rows beside it."""
    fs, path = _locate(uri)
    # A local file may have changed since; asking a store each time would cost a request a row.
    version = file_version(fs, path) if is_local(fs) else ""
    footer = _footer(uri, version)
    if row >= footer.starts[-1]:
        raise ValueError(f"Parquet file must have a row {row}, got {footer.starts[-1]} rows")
    group = bisect_right(footer.starts, row) - 1

    def load() -> pa.ChunkedArray:
        with fs.open(path, "rb") as raw, pq.ParquetFile(raw, metadata=footer.metadata) as file:
            return file.read_row_group(group, columns=[footer.column])["image"]

    images = _row_groups.get((uri, version, group), load)
    image = images[row - footer.starts[group]].as_py()
    data = image["bytes"] if isinstance(image, dict) else image
    if data is None:
        raise ValueError(f"row {row} must hold the bytes of an image, got null")
    return bytes(data)


@lru_cache(maxsize=64)
def _footer(uri: str, _version: str) -> _Footer:
    fs, path = _locate(uri)  # not a parameter: fsspec has another one for each thread
    with fs.open(path, "rb") as raw, pq.ParquetFile(raw) as file:
        found = file.metadata
    starts = [0, *accumulate(found.row_group(i).num_rows for i in range(found.num_row_groups))]
    names = {found.schema.column(i).path for i in range(found.num_columns)}
    return _Footer(found, starts, "image.bytes" if "image.bytes" in names else "image")

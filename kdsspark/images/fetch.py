"""Reads the bytes that a ``uri`` of the table ``images`` names (executor).

A uri is one of

- ``data/a/1.jpg``: a file, by a local path or any fsspec URL
  (:func:`~kdsspark.output.filesystems.locate` says what the characters of a URL mean);
- ``data/shard-0.tar#1536:20480:a/1.jpg``: a member of a tar file, by its first byte and its length,
  so that only those bytes are read; its name is for people;
- ``data/train-0.parquet#17``: a row of a Parquet file, counted from 0.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cachetools import LRUCache, cached

from kdsspark.output.filesystems import file_version, is_local, locate, read_range

HELD_BYTES: Final = 2**28
"""Size of the row groups of Parquet files that a process holds for its next reads (256 MiB)."""

_TAR_MEMBER: Final = re.compile(r"(.+\.tar)#(\d+):(\d+):.*", re.DOTALL | re.IGNORECASE)
_PARQUET_ROW: Final = re.compile(r"(.+\.(?:parquet|pq))#(\d+)", re.DOTALL | re.IGNORECASE)
_MEMBER: Final = r"(?is)^(?P<file>.+?\.(?:tar|parquet|pq))#(?P<at>\d+)(?::\d+:.*)?$"


def storage_order(uris: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The file of each image and its position in it (int64), by which neighbours are read together.

    The file is ``""`` and the position 0 for an image that is a file of its own.
    """
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
        fs, path = locate(uri)
        data = read_range(fs, path, 0, limit + 1)
    _refuse_large(len(data), limit)
    return data


def _refuse_large(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"file must have at most {limit:,} bytes, got more")


def _read_range(uri: str, start: int, size: int, limit: int) -> bytes:
    _refuse_large(size, limit)
    fs, path = locate(uri)
    data = read_range(fs, path, start, start + size)
    if len(data) < size:
        raise ValueError(f"tar file must hold {size:,} bytes from {start:,} on, got {len(data):,}")
    return data


# -- rows of Parquet files ----------------------------------------------------------------------


class _Footer(NamedTuple):
    metadata: pq.FileMetaData
    starts: list[int]  # the first row of each row group, then the number of rows
    column: str  # the column to read: ``image``, or its field ``bytes``


def _read_row(uri: str, row: int) -> bytes:
    """The image of one row. Its whole row group is read, and held for the rows beside it."""
    fs, path = locate(uri)
    # A local file may have changed since; to ask a store each time would cost a request a row.
    version = file_version(fs, path) if is_local(fs) else ""
    starts = _footer(uri, version).starts
    if row >= starts[-1]:
        raise ValueError(f"Parquet file must have a row {row}, got {starts[-1]} rows")
    group = bisect_right(starts, row) - 1
    image = _row_group(uri, version, group)[row - starts[group]].as_py()
    data = image["bytes"] if isinstance(image, dict) else image
    if data is None:
        raise ValueError(f"row {row} must hold the bytes of an image, got null")
    return bytes(data)


def _weight(images: pa.ChunkedArray) -> float:
    """The share of ``HELD_BYTES``; a larger row group counts as all, so that it is held alone."""
    return min(1.0, float(images.nbytes) / HELD_BYTES)


@cached(LRUCache(1.0, getsizeof=_weight), condition=threading.Condition())
def _row_group(uri: str, version: str, group: int) -> pa.ChunkedArray:
    """One row group, read by one thread for all that ask; an error is not held."""
    footer = _footer(uri, version)
    fs, path = locate(uri)
    with fs.open(path, "rb") as raw, pq.ParquetFile(raw, metadata=footer.metadata) as file:
        return file.read_row_group(group, columns=[footer.column])["image"]


@lru_cache(maxsize=64)
def _footer(uri: str, _version: str) -> _Footer:
    fs, path = locate(uri)  # not a parameter: fsspec has another one for each thread
    with fs.open(path, "rb") as raw, pq.ParquetFile(raw) as file:
        metadata = file.metadata
    sizes = (metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    names = {metadata.schema.column(i).path for i in range(metadata.num_columns)}
    column = "image.bytes" if "image.bytes" in names else "image"
    return _Footer(metadata, [0, *accumulate(sizes)], column)

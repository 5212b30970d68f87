"""Which shard every image belongs to, decided again at each run and stable between runs (driver).

A shard keeps its name for life; what it must hold changes when images are removed, files change or
new classes move ``class_id``, and its digest tells.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.images.fetch import storage_order
from kdsspark.stages.embed.shards.state import FILE_PREFIX, Places, Shard, name_prefix

MIN_SHARD_IMAGES: Final = 4
SHARDS_OF_A_SMALL_DATASET: Final = 64

_ROWS_AT_ONCE: Final = 1 << 18  # copied together, in the order of the shards


def shard_size(n_images: int, shard_images: int) -> int:
    """Images of one shard: ``shard_images``, but a small dataset is cut into about 64 shards.

    So that every core has work. Depends on the dataset alone and not on the cluster, so that a
    crash and a re-run elsewhere cut the same shards.
    """
    finer = max(MIN_SHARD_IMAGES, math.ceil(n_images / SHARDS_OF_A_SMALL_DATASET))
    return min(shard_images, finer)


@dataclass(frozen=True)
class Assigned:
    """Images by shard: row ``row[i]`` of ``images`` is in the shard ``names[shard[i]]``.

    Those of a shard stand together.
    """

    images: pa.Table
    row: npt.NDArray[np.uint64]
    shard: npt.NDArray[np.int32]
    names: list[str]

    def pieces(self) -> Iterator[tuple[str, pa.Table]]:
        """The name and rows of each shard; rows are copied some at a time, and not all at once."""
        first = last = start = 0  # of the rows copied
        for stop in [*(np.flatnonzero(np.diff(self.shard)) + 1).tolist(), len(self.shard)]:
            if stop > last:
                first, last = start, max(stop, start + _ROWS_AT_ONCE)
                some = self.images.take(pa.array(self.row[first:last]))
            if stop > start:
                yield self.names[self.shard[start]], some.slice(start - first, stop - start)
            start = stop


def assign(wanted: pa.Table, places: Places, size: int, key: str) -> Assigned:
    """``wanted`` (columns of ``images``) by shard, sorted by shard and image_id.

    Held images stay where they are. The others, in the order of their ids, fill the shards that
    are less than half full and are then cut into new ones of ``size``; so images that come a few
    a night do not end in a file a night. A remainder of less than half a shard goes with the last
    one. A new shard is named by ``key``, which stands for all that determines the numbers beside
    the images, and by what it holds. Images in tar and Parquet files go in the order of those
    files: their row groups are read whole, and in the order of ids every shard would read all.

    Cut so, what a killed run did not finish is cut as it was: it filled at least half of every
    new shard that it did finish, unless there was but one, and what the others were to get still
    follows in order.
    """
    memory = pa.default_memory_pool()  # keeps what it held at most, which here is gigabytes
    memory.release_unused()
    names, shard = places.shards, places.of_image
    missing = np.flatnonzero(shard < 0)
    missing = missing[_in_order(wanted.select(["uri", "image_id"]).take(missing))]
    counts = np.bincount(shard[shard >= 0], minlength=len(names)).tolist()
    kept = {name: n for name, n in zip(names, counts, strict=True) if n}
    pieces = _named_pieces(wanted.select(["image_id", "version"]).take(missing), kept, size, key)
    # Of texts so long, only numbers are made for every image.
    order = sorted({*kept, *(name for name, _ in pieces)})
    rank = {name: number for number, name in enumerate(order)}
    shard = np.array([*(rank.get(name, -1) for name in names), -1], np.int32)[shard]
    shard[missing] = np.repeat([rank[name] for name, _ in pieces], [n for _, n in pieces])
    keys = pa.table({"shard": shard, "image_id": wanted["image_id"]})
    rows = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
    memory.release_unused()
    return Assigned(wanted, rows.to_numpy(), shard[rows.to_numpy()], order)


def _in_order(images: pa.Table) -> npt.NDArray[np.uint64]:
    """The positions of the images in the order in which they are cut into shards."""
    file, at = storage_order(images["uri"])
    keys = pa.table({"file": file, "at": at, "image_id": images["image_id"]})
    order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
    return np.asarray(order)


def _named_pieces(
    missing: pa.Table, kept: Mapping[str, int], size: int, key: str
) -> list[tuple[str, int]]:
    """(shard, number of images) for the missing images, in order; ``kept``: images it holds."""
    small = {name: size - n for name, n in sorted(kept.items()) if 2 * n < size}
    pieces, start = [], 0
    for name, n in _pieces(len(missing), small, size):
        pieces.append((name or _new_name(missing.slice(start, n), kept, key), n))
        start += n
    return pieces


def _pieces(n_images: int, room: Mapping[str, int], size: int) -> list[tuple[str, int]]:
    """(shard, number of images) in order, new shards without a name; see :func:`assign`.

    ``room`` has the number of images that each small shard may still get.
    """
    pieces = []
    for name, free in room.items():
        pieces.append((name, min(free, n_images)))
        n_images -= pieces[-1][1]
    pieces += [("", size)] * (n_images // size)
    rest = n_images % size
    if pieces and 2 * rest < size:
        name, n = pieces.pop()
        return [*pieces, (name, n + rest)]
    return [*pieces, ("", rest)] if rest else pieces


def _new_name(rows: pa.Table, taken: Collection[str], key: str) -> str:
    """The name of a new shard; another one where a shard has it that holds other images by now."""
    name = name_prefix(key) + _hash(rows, ["image_id", "version"])
    while name in taken:
        name = name_prefix(key) + hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return name


def assign_files(wanted: pa.Table) -> Assigned:
    """For ready-made embeddings: one shard a source file, rows in the file's order."""
    files = pc.struct_field(pc.extract_regex(wanted["uri"], r"^(?P<file>.*)#\d+$"), "file")
    unique = pc.unique(files)
    names = [
        f"{FILE_PREFIX}{hashlib.blake2b(f.as_py().encode(), digest_size=8).hexdigest()}"
        for f in unique
    ]
    shard = pc.index_in(files, value_set=unique).to_numpy()
    return Assigned(wanted, np.arange(len(wanted), dtype=np.uint64), shard, names)


def split(assigned: Assigned) -> Iterator[tuple[Shard, pa.Table]]:
    """Every shard with its rows, columns of ``images``."""
    for name, rows in assigned.pieces():
        digest = _hash(rows, ["image_id", "version", "class_id", "class_name"])
        yield Shard(name, digest, len(rows)), rows


def _hash(rows: pa.Table, columns: list[str]) -> str:
    """16 hex digits over some columns of the rows, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for column in columns:
        digest.update("".join(f"{value}\0" for value in rows[column].to_pylist()).encode())
        digest.update(b"\1")
    return digest.hexdigest()

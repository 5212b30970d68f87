"""Which shard every image belongs to, decided again at each run and stable between runs (driver).

A shard is one work unit of the embed stage and one Parquet file of ``embeddings`` (and one of
``failures``, if any image failed). It keeps its name for life; what it must hold changes when
images are removed, files change or new classes move ``class_id``, and its digest tells.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdsspark.storage import gathered, parquet, receipts
from kdsspark.storage.fetch import storage_order
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES, Table

MIN_SHARD_IMAGES: Final = 4
SHARDS_OF_A_SMALL_DATASET: Final = 64
FILE_PREFIX: Final = "file-"
"""How the shards of ready-made embeddings begin."""

_IDS_AT_ONCE: Final = 1 << 22  # looked up together; Arrow takes 130 bytes for each
_SHARDS_PER_PLAN_FILE: Final = 256  # a footer with very many row groups is slow to open


@dataclass(frozen=True)
class Shard:
    """One shard to bring up to date: ``rows`` are those of the planned row group."""

    name: str
    digest: str  # of the ids, file versions and classes it must hold
    n_images: int
    plan: str = ""  # planned rows: this file of the store ...
    row_group: int = 0  # ... and this row group of it


@dataclass(frozen=True)
class Held:
    """What an output holds of one dataset by one network."""

    rows: pa.Table  # `image_id` and `shard` of every row of a finished shard
    finished: Mapping[str, Receipt]  # shard -> receipt, without digest where rows are missing
    others: frozenset[str]  # unfinished shards, and those of another network

    def is_current(self, shard: Shard) -> bool:
        """Whether a receipt, which says ``<digest>-<attempt>``, tells of what it must hold."""
        receipt = self.finished.get(shard.name)
        return receipt is not None and receipt.digest.partition("-")[0] == shard.digest


def held(store: Store, network: str, dataset: str, prefix: str) -> Held:
    """What there is; shards count as finished if they have a receipt and are named so."""
    found = receipts.read(store, receipts.EMBED, f"{network}/{dataset}")
    committed = {unit.rpartition("/")[2]: receipt for unit, receipt in found.items()}
    ours = {name: receipt for name, receipt in committed.items() if name.startswith(prefix)}
    rows = held_rows(store, network, dataset)
    finished = with_losses_known(rows, ours)
    others = (committed.keys() | set(pc.unique(rows["shard"]).to_pylist())) - finished.keys()
    if others:
        rows = rows.filter(pc.is_in(rows["shard"], pa.array(list(finished), pa.string())))
    return Held(rows, finished, frozenset(others))


def shard_size(n_images: int, shard_images: int) -> int:
    """Images of one shard: ``shard_images``, but a small dataset is cut into about 64 shards.

    So that every core has work. Depends on the dataset alone and not on the cluster, so that a
    crash and a re-run elsewhere cut the same shards.
    """
    finer = max(MIN_SHARD_IMAGES, math.ceil(n_images / SHARDS_OF_A_SMALL_DATASET))
    return min(shard_images, finer)


def held_rows(store: Store, network: str, dataset: str) -> pa.Table:
    """``image_id`` and ``shard`` (a dictionary) of every row on disk, ``embeddings`` first."""
    tables = []
    for table in (EMBEDDINGS, FAILURES):
        found = gathered.rows(store, *_rows_of_parts(store, table, network, dataset))
        paths = found["path"].combine_chunks().dictionary_encode()
        names = pa.array([shard_name(path) for path in paths.dictionary.to_pylist()], pa.string())
        shards = pa.DictionaryArray.from_arrays(paths.indices, names)
        tables.append(pa.table({"image_id": found["image_id"], "shard": shards}))
    return pa.concat_tables(tables).unify_dictionaries()


def keep_held_rows(store: Store, network: str, dataset: str) -> None:
    """Gather in one file which rows the parts hold; only under the lock."""
    for table in (EMBEDDINGS, FAILURES):
        gathered.keep(store, *_rows_of_parts(store, table, network, dataset))


def _rows_of_parts(
    store: Store, table: Table, network: str, dataset: str
) -> tuple[str, str, Callable[[str], pa.Table], pa.Schema]:
    """What :mod:`gathered` is to gather."""
    folder = table.partition(network, dataset)
    kept = f"{folder.removeprefix(table.name).lstrip('/')}/{table.name}"
    columns = ["image_id", *(("stage", "error") if table is FAILURES else ())]
    load = partial(parquet.read_file, store, columns=columns)
    return kept, folder, load, pa.schema([table.schema.field(name) for name in columns])


def failures(store: Store, network: str, dataset: str) -> pa.Table:
    """``stage`` and ``error`` of every image that failed."""
    found = gathered.rows(store, *_rows_of_parts(store, FAILURES, network, dataset))
    return found.select(["stage", "error"])


def with_losses_known(held: pa.Table, committed: Mapping[str, Receipt]) -> dict[str, Receipt]:
    """The receipts of shards that hold rows, without digest where rows are missing.

    That is so where a file was lost, or a run killed while it brought the shard up to date. The
    rows that are there are good: each says which state of its image it is of.
    """
    counts = pc.value_counts(held["shard"])
    rows = {c["values"].as_py(): c["counts"].as_py() for c in counts}
    return {
        name: receipt if rows[name] == receipt.counts["images"] else replace(receipt, digest="")
        for name, receipt in committed.items()
        if name in rows
    }


def shard_name(path: str) -> str:
    """``embeddings/network=a/dataset=b/shard-12ab.parquet`` -> ``shard-12ab``."""
    return path.rsplit("/", 1)[-1].removesuffix(".parquet")


def name_prefix(key: str) -> str:
    """How the shards of images begin that were embedded as ``key`` says."""
    return f"shard-{key}-"


@dataclass(frozen=True)
class Places:
    """Which shard holds each of some images: ``shards[of_image[i]]``, none where that is -1."""

    shards: list[str]
    of_image: npt.NDArray[np.int32]


def places(ids: pa.ChunkedArray, held: pa.Table) -> Places:
    """Where images are, by the rows that :func:`held_rows` finds."""
    shards = held["shard"].combine_chunks().dictionary_encode()
    of_row = shards.indices.to_numpy()
    of_image = np.full(len(ids), -1, np.int32)
    for start in range(0, len(held), _IDS_AT_ONCE):
        some = held["image_id"].slice(start, _IDS_AT_ONCE).combine_chunks()
        row = pc.fill_null(pc.index_in(ids, value_set=some), -1).to_numpy()
        new = (row >= 0) & (of_image < 0)  # the first, where a killed run left several
        of_image[new] = of_row[start + row[new]]
    return Places(shards.dictionary.to_pylist(), of_image)


def assign(wanted: pa.Table, places: Places, size: int, key: str) -> pa.Table:
    """``wanted`` (columns of ``images``) with its ``shard``, sorted by shard and image_id.

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
    # Of texts so long, only numbers are made for every image; the table is copied once.
    order = sorted({*kept, *(name for name, _ in pieces)})
    rank = {name: number for number, name in enumerate(order)}
    shard = np.array([*(rank.get(name, -1) for name in names), -1], np.int32)[shard]
    shard[missing] = np.repeat([rank[name] for name, _ in pieces], [n for _, n in pieces])
    keys = pa.table({"shard": shard, "image_id": wanted["image_id"]})
    rows = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])
    memory.release_unused()
    named = pa.DictionaryArray.from_arrays(shard[rows.to_numpy()], pa.array(order, pa.string()))
    return wanted.take(rows).append_column("shard", named)


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


def assign_files(wanted: pa.Table) -> pa.Table:
    """For ready-made embeddings: one shard a source file, rows in the file's order."""
    files = pc.struct_field(pc.extract_regex(wanted["uri"], r"^(?P<file>.*)#\d+$"), "file")
    unique = pc.unique(files)
    names = [
        f"{FILE_PREFIX}{hashlib.blake2b(f.as_py().encode(), digest_size=8).hexdigest()}"
        for f in unique
    ]
    shards = pc.take(pa.array(names, pa.string()), pc.index_in(files, value_set=unique))
    return wanted.append_column("shard", shards)


def split(assigned: pa.Table) -> Iterator[tuple[Shard, pa.Table]]:
    """Every shard with its rows, from rows in which each shard's stand together."""
    if not len(assigned):
        return
    codes = assigned["shard"].combine_chunks().dictionary_encode().indices.to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(assigned)]
    for start, stop in pairwise(starts):
        rows = assigned.slice(start, stop - start)
        digest = _hash(rows, ["image_id", "version", "class_id", "class_name"])
        yield Shard(rows["shard"][0].as_py(), digest, len(rows)), rows.select(IMAGES.schema.names)


def write_plan(
    store: Store, folder: str, shards: Iterator[tuple[Shard, pa.Table]]
) -> Iterator[Shard]:
    """Write the rows of each shard where its task finds them; yields the shards, located."""
    store.remove(folder)
    for number in range(1 << 31):
        some = list(islice(shards, _SHARDS_PER_PLAN_FILE))
        if not some:
            return
        path = f"{folder}/{number:06d}.parquet"
        parquet.write(store, path, (rows for _, rows in some), IMAGES.schema)
        for row_group, (shard, _) in enumerate(some):
            yield replace(shard, plan=path, row_group=row_group)


def planned_rows(store: Store, shard: Shard) -> pa.Table:
    """The rows a shard must hold, columns of ``images`` (executor)."""
    with store.fs.open(store.path(shard.plan), "rb") as file:
        return pq.ParquetFile(file).read_row_group(shard.row_group)


def _hash(rows: pa.Table, columns: list[str]) -> str:
    """16 hex digits over some columns of the rows, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for column in columns:
        digest.update("".join(f"{value}\0" for value in rows[column].to_pylist()).encode())
        digest.update(b"\1")
    return digest.hexdigest()

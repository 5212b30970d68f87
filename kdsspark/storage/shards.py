"""Which shard every image belongs to, decided again at each run and stable between runs (driver).

A shard is one work unit of the embed stage and one Parquet file of ``embeddings`` (and one of
``failures``, if any image failed). It keeps its name for life; what it must hold may change when
images are removed or renamed classes move ``class_id``, and its digest tells.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdsspark.storage import parquet
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES

MIN_SHARD_IMAGES: Final = 4
SHARDS_OF_A_SMALL_DATASET: Final = 64
_SHARDS_PER_PLAN_FILE: Final = 256  # a footer with very many row groups is slow to open


@dataclass(frozen=True)
class Shard:
    """One shard to bring up to date: ``rows`` are those of the planned row group."""

    name: str
    digest: str  # of the ids, file versions and classes it must hold
    n_images: int
    plan: str = ""  # planned rows: this file of the store ...
    row_group: int = 0  # ... and this row group of it
    held: bool = False  # whether an earlier version of it is finished, to keep rows from


def shard_size(n_images: int, shard_images: int) -> int:
    """Images of one shard: ``shard_images``, but a small dataset is cut into about 64 shards.

    So that every core has work. Depends on the dataset alone and not on the cluster, so that a
    crash and a re-run elsewhere cut the same shards.
    """
    finer = max(MIN_SHARD_IMAGES, math.ceil(n_images / SHARDS_OF_A_SMALL_DATASET))
    return min(shard_images, finer)


def held_rows(store: Store, network: str, dataset: str) -> pa.Table:
    """``image_id``, ``version`` and ``shard`` of every row on disk, embedded or failed."""
    tables = []
    for table in (EMBEDDINGS, FAILURES):
        for path in store.files(table.partition(network, dataset)):
            rows = parquet.read_file(store, path, ["image_id", "version"])
            shard = pa.repeat(pa.scalar(shard_name(path), pa.string()), len(rows))
            tables.append(rows.append_column("shard", shard))
    empty = pa.schema([(c, pa.string()) for c in ("image_id", "version", "shard")]).empty_table()
    return pa.concat_tables([empty, *(t.cast(empty.schema) for t in tables)])


def complete(held: pa.Table, committed: Mapping[str, Receipt]) -> dict[str, Receipt]:
    """The receipts whose shard is whole on disk: a lost file makes its shard unfinished."""
    counts = pc.value_counts(held["shard"])
    rows = {c["values"].as_py(): c["counts"].as_py() for c in counts}
    return {name: r for name, r in committed.items() if rows.get(name) == r.counts["images"]}


def shard_name(path: str) -> str:
    """``embeddings/network=a/dataset=b/shard-12ab.parquet`` -> ``shard-12ab``."""
    return path.rsplit("/", 1)[-1].removesuffix(".parquet")


def assign(wanted: pa.Table, held: pa.Table, size: int) -> pa.Table:
    """``wanted`` (columns of ``images``) with its ``shard``, sorted by shard and image_id.

    Images held at their present version stay where they are; the others are cut, in the order
    of their ids, into new shards of ``size``. Each new shard is named by what it holds.
    """
    joined = wanted.join(held, keys=["image_id", "version"], join_type="left outer")
    missing = joined.filter(pc.is_null(joined["shard"])).sort_by("image_id")
    names = [
        f"shard-{_hash(missing.slice(start, size), ['image_id', 'version'])}"
        for start in range(0, len(missing), size)
    ]
    repeated = np.repeat(np.array(names, dtype=object), size)[: len(missing)]
    shards = pa.array(repeated, pa.string())
    missing = missing.set_column(missing.column_names.index("shard"), "shard", shards)
    kept = joined.filter(pc.is_valid(joined["shard"]))
    assigned = pa.concat_tables([kept, missing.select(kept.column_names)])
    return assigned.sort_by([("shard", "ascending"), ("image_id", "ascending")])


def assign_files(wanted: pa.Table) -> pa.Table:
    """For ready-made embeddings: one shard a source file, rows in the file's order."""
    files = pc.struct_field(pc.extract_regex(wanted["uri"], r"^(?P<file>.*)#\d+$"), "file")
    unique = pc.unique(files)
    names = [
        f"file-{hashlib.blake2b(f.as_py().encode(), digest_size=8).hexdigest()}" for f in unique
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
    store: Store, folder: str, shards: Iterator[tuple[Shard, pa.Table]], finished: set[str]
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
            held = shard.name in finished
            yield replace(shard, plan=path, row_group=row_group, held=held)


def planned_rows(store: Store, shard: Shard) -> pa.Table:
    """The rows a shard must hold, columns of ``images`` (executor)."""
    with store.fs.open(store.path(shard.plan), "rb") as file:
        return pq.ParquetFile(file).read_row_group(shard.row_group)


def _hash(rows: pa.Table, columns: list[str]) -> str:
    """16 hex digits over some columns of the rows, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for column in columns:
        for value in rows[column].to_pylist():
            digest.update(f"{value}\0".encode())
        digest.update(b"\1")
    return digest.hexdigest()

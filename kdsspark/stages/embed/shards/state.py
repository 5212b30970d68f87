"""Shards: what an output holds of them, and what they are planned to hold (driver).

A shard is one work unit of the embed stage and one Parquet file of ``embeddings`` (and one of
``failures``, if any image failed). Which images it has is decided in :mod:`.sharding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdsspark.output import gathered, parquet
from kdsspark.output.names import REUSE, Pair, stem
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages import EMBED
from kdsspark.stages.embed.shards import contents
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES, Table

FILE_PREFIX: Final = "file-"
"""How the shards of ready-made embeddings begin."""

_IDS_AT_ONCE: Final = 1 << 22  # looked up together; Arrow takes 130 bytes for each
_EMBEDDED: Final = pa.schema(
    [
        EMBEDDINGS.schema.field("image_id"),
        pa.field("key", pa.uint64(), nullable=False),  # of the content
        pa.field("computed_on", pa.dictionary(pa.int32(), pa.string())),
    ]
)
"""What is gathered of ``embeddings``."""

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
class Places:
    """Which shard holds each of some images: ``shards[of_image[i]]``, none where that is -1."""

    shards: list[str]
    of_image: npt.NDArray[np.int32]


@dataclass(frozen=True)
class HeldShards:
    """What an output holds of one dataset by one network."""

    finished: Mapping[str, Receipt]  # shard -> receipt, without digest where rows are missing
    others: frozenset[str]  # unfinished shards, and those of another network

    def is_current(self, shard: Shard) -> bool:
        """Whether a receipt, which says ``<digest>-<attempt>``, tells of what it must hold."""
        receipt = self.finished.get(shard.name)
        return receipt is not None and receipt.digest.partition("-")[0] == shard.digest


def held(output: Output, pair: Pair, prefix: str) -> tuple[HeldShards, pa.Table]:
    """What there is, and the rows of finished shards as :func:`held_rows` has them.

    Shards count as finished if they have a receipt and are named so.
    """
    committed = {name.part: receipt for name, receipt in EMBED.receipts(output).of(pair).items()}
    ours = {name: receipt for name, receipt in committed.items() if name.startswith(prefix)}
    rows = held_rows(output, pair)
    finished = with_losses_known(rows, ours)
    others = (committed.keys() | set(pc.unique(rows["shard"]).to_pylist())) - finished.keys()
    if others:
        rows = rows.filter(pc.is_in(rows["shard"], pa.array(list(finished), pa.string())))
    return HeldShards(finished, frozenset(others)), rows


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


def held_rows(output: Output, pair: Pair) -> pa.Table:
    """``image_id`` and ``shard`` (a dictionary) of every row on disk, ``embeddings`` first."""
    tables = []
    for table in (EMBEDDINGS, FAILURES):
        found = gathered.rows(output, *_rows_of_parts(output, table, pair), ["image_id"])
        paths = found["path"].combine_chunks().dictionary_encode()
        names = pa.array([stem(path) for path in paths.dictionary.to_pylist()], pa.string())
        shards = pa.DictionaryArray.from_arrays(paths.indices, names)
        tables.append(pa.table({"image_id": found["image_id"], "shard": shards}))
    return pa.concat_tables(tables).unify_dictionaries()


def gather_held_rows(output: Output, pair: Pair) -> None:
    """Gather in one file which rows the parts hold; only under the lock."""
    for table in (EMBEDDINGS, FAILURES):
        gathered.keep(output, *_rows_of_parts(output, table, pair))


def _rows_of_parts(
    output: Output, table: Table, pair: Pair
) -> tuple[str, str, Callable[[str], pa.Table], pa.Schema]:
    """What :mod:`kdsspark.output.gathered` is to gather."""
    folder = table.partition(*pair)
    kept = f"{folder.removeprefix(table.name).lstrip('/')}/{table.name}"
    if table is EMBEDDINGS:
        return kept, folder, partial(_load_embedded, output), _EMBEDDED
    columns = ["image_id", "stage", "error"]
    load = partial(parquet.read_file, output, columns=columns)
    return kept, folder, load, pa.schema([table.schema.field(name) for name in columns])


def _load_embedded(store: Store, path: str) -> pa.Table:
    read = pa.schema([EMBEDDINGS.schema.field(n) for n in ("image_id", "content", "computed_on")])
    rows = parquet.completed(parquet.read_file(store, path, read.names), read)
    keys = pa.array(contents.keys(rows["content"]))
    return pa.table([rows["image_id"], keys, rows["computed_on"]], names=_EMBEDDED.names)


def held_contents(output: Output, pair: Pair) -> pa.Table:
    """``path``, ``key`` and ``computed_on`` of all rows of ``embeddings``, and of those set aside.

    See :mod:`.contents`.
    """
    columns = ["path", "key", "computed_on"]
    found = [gathered.rows(output, *_rows_of_parts(output, EMBEDDINGS, pair), columns[1:])]
    for path in output.files(output.beside(REUSE, pair)):  # by a run that was killed
        rows = _load_embedded(output, path)
        at = pa.array(np.zeros(len(rows), np.int32))
        rows = rows.append_column("path", pa.DictionaryArray.from_arrays(at, [path]))
        found.append(rows.select(columns).cast(found[0].select(columns).schema))
    return pa.concat_tables([rows.select(columns) for rows in found]).unify_dictionaries()


def failures(output: Output, pair: Pair) -> pa.Table:
    """``stage`` and ``error`` of every image that failed."""
    columns = ["stage", "error"]
    return gathered.rows(output, *_rows_of_parts(output, FAILURES, pair), columns).select(columns)


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


def name_prefix(key: str) -> str:
    """How the shards of images begin that were embedded as ``key`` says."""
    return f"shard-{key}-"


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

"""The two files of a shard: what of them still holds, and how new rows get there (executor).

Every row says which state of its image it is of (``version``, ``content``), so each row of an
earlier version of a file can be judged alone. A file is replaced in one step, and rows go from the
old one to the new one a row group at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.store import Store
from kdsspark.stages.embed.shards import contents
from kdsspark.stages.embed.shards import ranges as shard_ranges
from kdsspark.tables import EMBEDDINGS, FAILURES, Table

MISSING: Final = -1
"""Source of a planned row that no file holds."""

FAILED: Final = -2
"""Source of a planned row that ``failures`` holds."""

# Reading one layer of a file takes as long in row groups of 8 MiB (of the widest layer) as in
# larger ones, and up to three times as long in smaller ones (measured with VGG16 on local files);
# a task holds a few groups of all layers.
_GROUP_BYTES: Final = 1 << 23

_TODAY: Final = ("version", "class_id", "class_name")
"""Columns of a kept row that are as the plan says."""


Sources = npt.NDArray[np.int64]
"""For each planned row its position in the file of ``embeddings``, or one of the above."""

Fresh = Callable[[], pa.Table]
"""Makes rows of ``embeddings``."""


def rows_of_group(widths: Sequence[int], value_bytes: int, batch: int = 1) -> int:
    """Rows of a row group of ``embeddings``, a multiple of ``batch``.

    ``widths`` are the units of the layers, ``value_bytes`` what a value takes.
    """
    rows = max(1, _GROUP_BYTES // (value_bytes * max(widths)))
    return -(-rows // batch) * batch


@dataclass(frozen=True)
class ShardFiles:
    """Where a shard lies, and the schema of its rows of ``embeddings``."""

    store: Store
    pair: Pair
    name: str
    schema: pa.Schema

    def part(self, table: Table) -> str:
        """The file of ``embeddings`` or ``failures``."""
        return table.part(self.name, *self.pair)

    def held(self) -> HeldRows:
        """What the files hold now."""
        return HeldRows(
            self._read(EMBEDDINGS, EMBEDDINGS.schema), self._read(FAILURES, FAILURES.schema)
        )

    def _read(self, table: Table, schema: pa.Schema) -> pa.Table:
        try:
            rows = parquet.read_file(self.store, self.part(table), schema.names)
        except FileNotFoundError:
            return schema.empty_table()
        return parquet.completed(rows, schema)


@dataclass(frozen=True)
class HeldRows:
    """Rows in the order of their files: of ``embeddings`` without layers, and of ``failures``."""

    embedded: pa.Table
    failed: pa.Table

    def doubtful(self, planned: pa.Table) -> pa.Table:
        """``uri`` and ``content`` of rows whose file changed, but perhaps not its bytes."""
        tables = []
        for rows in (self.embedded, self.failed):
            today = _as_planned(rows, planned)
            changed = pc.not_equal(rows["version"], today["version"])  # null if not planned
            asked = pc.and_kleene(changed, pc.is_valid(rows["content"]))
            columns = {"uri": today["uri"], "content": rows["content"]}
            tables.append(pa.table(columns).filter(pc.fill_null(asked, False)))
        return pa.concat_tables(tables)

    def sources(self, planned: pa.Table, unchanged: Collection[str]) -> Sources:
        """Where each planned row is.

        A row is good for the version it was made of, and if its ``uri`` is ``unchanged``.
        """
        found = np.full(len(planned), MISSING, dtype=np.int64)
        # An image of both files, which a run killed halfway may leave, is embedded.
        for rows, failed in ((self.failed, True), (self.embedded, False)):
            good = _good(rows, planned, unchanged)
            positions = _positions(rows, planned).filter(pa.array(good)).to_numpy()
            found[positions] = FAILED if failed else np.flatnonzero(good)
        return found

    def knows(self, rows: pa.Table) -> bool:
        """Whether it holds any of these images, in whatever state."""
        ids = pa.concat_tables([t.select(["image_id"]) for t in (self.embedded, self.failed)])
        return bool(pc.any(pc.is_in(rows["image_id"], ids["image_id"].combine_chunks())).as_py())

    def holds_exactly(self, planned: pa.Table, sources: Sources) -> bool:
        """Whether the file of ``embeddings`` is as planned already."""
        kept = planned.take(np.flatnonzero(sources >= 0)).select(["image_id", *_TODAY])
        return bool((sources != MISSING).all()) and kept.equals(
            self.embedded.select(kept.column_names)
        )

    def failures(self, planned: pa.Table, sources: Sources) -> pa.Table:
        """The rows of ``failures`` that are kept, as they are today."""
        today = planned.take(np.flatnonzero(sources == FAILED))
        rows = self.failed.take(
            pc.index_in(today["image_id"], self.failed["image_id"].combine_chunks())
        )
        return _with_today(rows, today)


def _positions(rows: pa.Table, planned: pa.Table) -> pa.ChunkedArray:
    """Of each row in the plan; null for what is not planned."""
    return pc.index_in(rows["image_id"], planned["image_id"].combine_chunks())


def _as_planned(rows: pa.Table, planned: pa.Table) -> pa.Table:
    return planned.take(_positions(rows, planned))


def _good(rows: pa.Table, planned: pa.Table, unchanged: Collection[str]) -> npt.NDArray[np.bool_]:
    today = _as_planned(rows, planned)
    same = pc.equal(rows["version"], today["version"])
    known = pc.is_in(today["uri"], pa.array(list(unchanged), pa.string()))
    return np.asarray(pc.fill_null(pc.or_kleene(same, known), False), dtype=bool)


def _with_today(rows: pa.Table, today: pa.Table) -> pa.Table:
    for column in _TODAY:
        rows = rows.set_column(rows.column_names.index(column), rows.field(column), today[column])
    return rows


# -- writing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowGroup:
    """Rows that are written together: planned rows to keep, from where, and new rows."""

    kept: pa.Table
    sources: Sources
    fresh: Fresh


def write_groups(files: ShardFiles, groups: Iterable[RowGroup]) -> None:
    """Replace the file of ``embeddings``, and its ranges, by the groups, in order."""
    merged = (_merged(files, group) for group in groups)
    write(files.store, files.part(EMBEDDINGS), (t for t in merged if len(t)), files.schema)


def write(store: Store, part: str, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
    """Replace a file of ``embeddings``, and its ranges: a row group a table, none empty."""
    first = next(tables, None)
    # Ranges are looked for beside every file: those of the old one would pass for the new one's.
    store.remove(shard_ranges.path_of(part))
    if first is None:
        store.remove(part)
        return
    shard_ranges.write(store, part, _written(store, part, chain([first], tables), schema))


def _written(
    store: Store, part: str, tables: Iterable[pa.Table], schema: pa.Schema
) -> Iterator[pa.Table]:
    """The tables, each when it has been written; the file is there when they end."""
    with parquet.writer(store, part, schema) as file:
        for table in tables:
            file.write(table)
            yield table


def _merged(files: ShardFiles, group: RowGroup) -> pa.Table:
    fresh = group.fresh()
    if not len(group.kept):
        return fresh
    kept = _kept(files, group.kept, group.sources)
    return pa.concat_tables([kept, fresh]).sort_by("image_id") if len(fresh) else kept


def _kept(files: ShardFiles, today: pa.Table, sources: Sources) -> pa.Table:
    part, first = files.part(EMBEDDINGS), int(sources.min())
    pieces = parquet.row_groups(files.store, part, None, first, int(sources.max()) + 1)
    rows = pa.concat_tables(pieces).take(sources - first)
    if not rows["image_id"].equals(today["image_id"]):
        raise RuntimeError(f"{part} was replaced while it was read, by another attempt")
    return parquet.completed(_with_today(rows, today), files.schema)


def set_aside_lost(files: ShardFiles, held: HeldRows, sources: Sources) -> None:
    """Keep the rows that the file of ``embeddings`` is about to lose: others may need them."""
    lost = np.ones(len(held.embedded), dtype=bool)
    lost[sources[sources >= 0]] = False
    if lost.any():
        path = contents.aside(files.part(EMBEDDINGS))
        parquet.write(files.store, path, _rows(files, lost), files.schema)


def _rows(files: ShardFiles, wanted: npt.NDArray[np.bool_]) -> Iterator[pa.Table]:
    """Some rows of the file, a row group at a time."""
    start, stop = int(wanted.argmax()), len(wanted) - int(wanted[::-1].argmax())
    for rows in parquet.row_groups(files.store, files.part(EMBEDDINGS), None, start, stop):
        some = rows.filter(pa.array(wanted[start : start + len(rows)]))
        start += len(rows)
        if len(some):
            yield parquet.completed(some, files.schema)


def write_failures(files: ShardFiles, rows: pa.Table) -> None:
    """Replace the file of ``failures``; none where there are no rows."""
    part = files.part(FAILURES)
    if len(rows):
        parquet.write(files.store, part, rows.sort_by("image_id"), FAILURES.schema)
    else:
        files.store.remove(part)

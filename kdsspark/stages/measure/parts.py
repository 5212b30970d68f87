"""The parts of tables that one slice writes (executor)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.config import Measure
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.parquet import nullable
from kdsspark.stages.embed.shards.range_rows import ranges_table
from kdsspark.stages.measure import summaries
from kdsspark.stages.measure.rechunk import LayerSlice
from kdsspark.stats import distances
from kdsspark.stats.ks import BinnedKS, binned_ks
from kdsspark.stats.ranges import Ranges
from kdsspark.stats.ranks import Comparison
from kdsspark.stats.summaries.counts import Summary
from kdsspark.stats.summaries.significance import reach
from kdsspark.tables import DISTANCES, HISTOGRAMS, KS, RANGES, Table

Part = tuple[Table, tuple[str, ...]]
"""A table, and the values of its partition after network and dataset."""

PARTS: Final[tuple[Part, ...]] = (
    (RANGES, ()),
    (HISTOGRAMS, ()),
    (KS, ("true",)),
    (KS, ("shuffled",)),
    (DISTANCES, ()),
)
"""Everything a slice may write."""

_COMPARED: Final = fields(Comparison)
_ORDER: Final = ("unit", "class_id", "shuffle")

ROWS_OF_A_GROUP: Final = 1 << 17
"""Rows of a row group of ``ks``: about 4 MiB."""

ALL: Final = -1
"""The ``class_id`` of all images in ``histograms``, where classes overlap."""

Labeling = tuple[int, npt.NDArray[np.int32]]
"""The number of a shuffle, 0 for the true labels, and the labels [images]."""


def written(settings: Measure) -> list[Part]:
    """What a slice writes with these settings."""
    without = {
        HISTOGRAMS.name: settings.histograms,
        DISTANCES.name: bool(settings.distances),
        "shuffled": settings.keep_shuffled,
    }
    return [
        (table, labels)
        for table, labels in PARTS
        if without.get(table.name, True) and all(without.get(label, True) for label in labels)
    ]


class Rows(Protocol):
    """Where the rows of a part go: a file, or memory."""

    def write(self, table: pa.Table) -> None:
        """Take some rows, in any order of the columns."""


@dataclass(frozen=True, eq=False)
class _Block:
    """The distances of some units under one labeling; arrays are [units, classes]."""

    unit: int  # the first
    ks: BinnedKS
    exact: npt.NDArray[np.float64] | None
    compared: Comparison | None

    @staticmethod
    def joined(blocks: Sequence[_Block]) -> _Block:
        """One block of several; each begins where the one before ends."""
        first, *_ = blocks
        return _Block(
            first.unit,
            BinnedKS(*_concatenated([block.ks for block in blocks])),
            None
            if first.exact is None
            else np.concatenate([block.exact for block in blocks if block.exact is not None]),
            None
            if first.compared is None
            else Comparison(*_concatenated([block.compared for block in blocks])),
        )


def _concatenated(parts: Sequence[Any]) -> list[npt.NDArray[Any]]:
    """The fields of dataclasses of arrays, one after the other."""
    columns = (vars(part).values() for part in parts)
    return [np.concatenate(arrays) for arrays in zip(*columns, strict=True)]


@dataclass(eq=False)
class SliceParts:
    """The open parts of one slice, and the summaries of its distances so far."""

    cut: LayerSlice
    distances: tuple[str, ...]  # names of the other distances
    _writers: Mapping[tuple[str, ...], Rows]  # by the names of a table and its labels
    _waiting: dict[int, list[_Block]] = field(default_factory=dict)  # shuffle -> not yet written
    summaries: dict[int, Summary] = field(default_factory=dict)

    def write_ranges(self, ranges: Ranges) -> None:
        """Write the rows of ``ranges``."""
        self._writers[RANGES.name,].write(ranges_table(self.cut.layer, self.cut.start, ranges))

    def keeps(self, shuffle: int) -> bool:
        """Whether the distances of this labeling are written."""
        return (KS.name, "shuffled" if shuffle else "true") in self._writers

    def write(
        self,
        first: int,
        shuffle: int,
        counts: npt.NDArray[np.int32],
        exact: npt.NDArray[np.float64] | None,
        compared: Comparison | None = None,
        totals: npt.NDArray[np.int32] | None = None,
    ) -> None:
        """Take the histograms of a block of units under one labeling.

        ``first`` is the place of the block within the slice. ``counts`` is [units, classes, bins],
        ``exact`` the exact distances [units, classes], and ``compared`` what else their values
        say, under the true labels. ``totals`` [units, bins] are the histograms of all images where
        classes overlap. Distances are written and summarized by :meth:`flush`.
        """
        ks = binned_ks(counts, totals)
        unit = self.cut.start + first
        self._waiting.setdefault(shuffle, []).append(_Block(unit, ks, exact, compared))
        if shuffle == 0 and (HISTOGRAMS.name,) in self._writers:
            rows = _histograms(self.cut.layer, unit, counts, totals, ks.n_inner)
            self._writers[HISTOGRAMS.name,].write(rows)
        if shuffle == 0 and self.distances:
            rows = _distances(self.cut.layer, unit, counts, totals, self.distances)
            self._writers[DISTANCES.name,].write(rows)

    def flush(self, at_least: int = 1) -> None:
        """Write the distances that are waiting as a row group, if they have enough rows."""
        for labels in ("true", "shuffled"):
            shuffles = [shuffle for shuffle in self._waiting if (shuffle > 0) == (labels != "true")]
            rows = sum(block.ks.ks.size for s in shuffles for block in self._waiting[s])
            if rows < at_least:
                continue
            blocks = {s: _Block.joined(self._waiting.pop(s)) for s in shuffles}
            self._summarize(blocks)
            if self.keeps(shuffles[0]):
                gathered = pa.concat_tables(_ks(self.cut.layer, s, blocks[s]) for s in blocks)
                if len(blocks) > 1:  # put the shuffles of a pair together
                    gathered = gathered.sort_by([(name, "ascending") for name in _ORDER])
                self._writers[KS.name, labels].write(gathered)

    def _summarize(self, blocks: Mapping[int, _Block]) -> None:
        for shuffle, block in blocks.items():
            ks = block.ks
            reached = reach(ks.ks, ks.n_inner, ks.n_outer)
            summary = Summary.of(ks.ks, float(np.fmax.reduce(reached, axis=None, initial=0.0)))
            before = self.summaries.get(shuffle)
            self.summaries[shuffle] = summary if before is None else before.merge(summary)


@contextmanager
def open_parts(
    output: Output, pair: Pair, settings: Measure, cut: LayerSlice
) -> Iterator[SliceParts]:
    """Open the parts of a slice; they and its summaries appear if the block ends without error."""
    with ExitStack() as stack:
        writers = {
            (table.name, *labels): stack.enter_context(
                parquet.writer(output, table.part(cut.name, *pair, *labels), table.schema)
            )
            for table, labels in written(settings)
        }
        parts = SliceParts(cut, settings.distances, writers)
        yield parts
        summaries.write(output, pair, cut.name, parts.summaries)


# -- tables --------------------------------------------------------------------------------------


def _pairs(
    layer: str, unit: int, shape: tuple[int, int], first_class: int = 0
) -> dict[str, pa.Array]:
    """The first columns of a table with one row per (unit, class), units outermost."""
    n_units, n_classes = shape
    classes = np.arange(first_class, first_class + n_classes, dtype=np.int32)
    units = np.arange(unit, unit + n_units, dtype=np.int32)
    return {
        "layer": pa.repeat(layer, n_units * n_classes),
        "unit": pa.array(np.repeat(units, n_classes)),
        "class_id": pa.array(np.tile(classes, n_units)),
    }


def _histograms(
    layer: str,
    unit: int,
    counts: npt.NDArray[np.int32],
    totals: npt.NDArray[np.int32] | None,
    n: npt.NDArray[np.int64],
) -> pa.Table:
    """``n`` [units, classes] are the sums of ``counts``; the class of ``totals`` is ``ALL``."""
    first_class = 0
    if totals is not None:
        first_class, counts = ALL, np.concatenate([totals[:, None], counts], axis=1)
        n = np.concatenate([totals.sum(1, np.int64)[:, None], n], axis=1)
    n_units, n_classes, bins = counts.shape
    offsets = pa.array(np.arange(0, counts.size + 1, bins, dtype=np.int32))
    kind = HISTOGRAMS.schema.field("counts").type
    columns = _pairs(layer, unit, (n_units, n_classes), first_class)
    columns["n"] = pa.array(n.ravel())
    columns["counts"] = pa.ListArray.from_arrays(offsets, pa.array(counts.ravel()), type=kind)
    return pa.table(columns)


def _ks(layer: str, shuffle: int, block: _Block) -> pa.Table:
    ks = block.ks
    n = ks.ks.size
    columns = _pairs(layer, block.unit, (ks.ks.shape[0], ks.ks.shape[1]))
    columns["shuffle"] = pa.repeat(pa.scalar(shuffle, pa.int32()), n)
    columns["n_inner"] = pa.array(ks.n_inner.ravel())
    columns["n_outer"] = pa.array(ks.n_outer.ravel())
    columns["ks"] = nullable(ks.ks.ravel())
    columns["bin"] = pa.array(ks.bin.ravel())
    compared = {column.name: getattr(block.compared, column.name, None) for column in _COMPARED}
    for name, values in {"ks_exact": block.exact, **compared}.items():
        columns[name] = pa.nulls(n, pa.float64()) if values is None else nullable(values.ravel())
    return pa.table(columns)


def _distances(
    layer: str,
    unit: int,
    counts: npt.NDArray[np.int32],
    totals: npt.NDArray[np.int32] | None,
    wanted: tuple[str, ...],
) -> pa.Table:
    columns = _pairs(layer, unit, (counts.shape[0], counts.shape[1]))
    n = len(columns["unit"])
    for name, distance in distances.DISTANCES.items():
        if name in wanted:
            columns[name] = nullable(distance(counts, totals).ravel())
        else:
            columns[name] = pa.nulls(n, pa.float64())
    return pa.table(columns)

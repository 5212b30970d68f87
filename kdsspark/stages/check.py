"""Stage ``check``: the invariants, held against the files as they were written.

Run at the end of every run; what has been checked and not written since is not checked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.config import Measure
from kdsspark.engine import work as units
from kdsspark.engine.work import Outcome, Unit
from kdsspark.errors import InvariantError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet, receipts
from kdsspark.output.store import Store
from kdsspark.stats.ks import binned_ks
from kdsspark.tables import EMBEDDINGS, FAILURES, HISTOGRAMS, IMAGES, KS, RANGES, Table


def check(
    session: SparkSession, store: Store, pairs: Sequence[tuple[str, str]], settings: Measure
) -> None:
    """Check every (network, dataset); raises :class:`InvariantError` naming what disagrees."""
    work = [unit for pair in pairs for unit in plan(store, pair, settings)]
    units.run(session, store, receipts.CHECK, work, _call, "parts")


def plan(store: Store, pair: tuple[str, str], settings: Measure) -> list[Unit]:
    """What is checked of a dataset, whether it has been or not: its images, and every slice."""
    prefix, checked = "/".join(pair), _Pair(store, *pair, settings)
    shards = receipts.read(store, receipts.EMBED, prefix)
    n_images = sum(r.counts["embedded"] for r in shards.values())
    embedded = fingerprint(sorted((r.unit, r.digest) for r in shards.values()))
    work = [Unit(f"{prefix}/images", embedded, partial(_check_images, checked))]
    for name, receipt in receipts.read(store, receipts.MEASURE, prefix).items():
        part = name.rpartition("/")[2]
        work.append(Unit(name, receipt.digest, partial(_check_part, checked, part, n_images)))
    return work


def _call(work: partial[None]) -> Outcome:
    work()
    return Outcome()


@dataclass(frozen=True)
class _Pair:
    store: Store
    network: str
    dataset: str
    settings: Measure

    def row_groups(self, name: str, table: Table, *labels: str) -> Iterator[pa.Table]:
        """A slice's part of a table, a block of its units at a time."""
        path = f"{table.partition(self.network, self.dataset, *labels)}/{name}.parquet"
        self.require(self.store.exists(path), f"{path} is missing")
        return parquet.row_groups(self.store, path)

    def require(self, holds: bool, what: str, *details: object) -> None:
        if not holds:
            seen = " ".join(str(detail) for detail in details)
            raise InvariantError(f"{self.network}/{self.dataset}: {what} {seen}".rstrip())


def _check_images(pair: _Pair) -> None:
    """Invariant 1: indexed = embedded + failed, no image twice."""
    indexed = parquet.read(pair.store, IMAGES, pair.dataset, columns=["image_id"])
    seen = [
        parquet.read(pair.store, table, pair.network, pair.dataset, columns=["image_id"])
        for table in (EMBEDDINGS, FAILURES)
    ]
    both = pa.concat_tables(seen)["image_id"]
    pair.require(
        pc.count_distinct(both).as_py() == len(both), "an image is embedded or failed twice"
    )
    missing = pc.invert(pc.is_in(indexed["image_id"], value_set=both.combine_chunks()))
    pair.require(
        len(indexed) == len(both) and not pc.any(missing).as_py(),
        "images indexed must be those embedded and failed, got",
        *(len(indexed), "indexed,", len(seen[0]), "embedded,", len(seen[1]), "failed"),
    )


def _check_part(pair: _Pair, name: str, n_images: int) -> None:
    """Invariants 2, 3 and 5 for one measured slice."""
    nonfinite = np.concatenate(
        [_column(ranges, "n_nonfinite") for ranges in pair.row_groups(name, RANGES)]
    )
    blocks = [_distances(rows) for rows in pair.row_groups(name, KS, "true")]
    true = {key: np.concatenate([rows[key] for rows in blocks])[..., 0] for key in _COMPARED}
    sizes = true["n_inner"]
    pair.require(
        bool((sizes.sum(1) + nonfinite == n_images).all()),
        f"{name}: n over all classes + n_nonfinite must be {n_images} images",
    )
    if pair.settings.histograms:
        _check_histograms(pair, name, true)
    if pair.settings.keep_shuffled:
        _check_shuffled(pair, name, sizes, nonfinite)


_COMPARED: Final = ("unit", "n_inner", "ks", "bin")
_Distances = dict[str, npt.NDArray[Any]]


def _distances(rows: pa.Table) -> _Distances:
    """Column of ``ks`` -> [units, classes, shuffles]; null reads as NaN."""
    shape = [pc.count_distinct(rows[key]).as_py() for key in ("unit", "class_id", "shuffle")]
    return {column: _column(rows, column).reshape(shape) for column in _COMPARED}


def _check_histograms(pair: _Pair, name: str, true: _Distances) -> None:
    """``true``: column of ``ks`` -> [units, classes]."""
    n_classes, first = true["ks"].shape[1], 0
    for rows in pair.row_groups(name, HISTOGRAMS):
        held = _column(rows, "n").reshape(-1, n_classes)
        units = slice(first, first + len(held))
        first = units.stop
        counts = pc.list_flatten(rows["counts"]).to_numpy().reshape(*held.shape, -1)
        pair.require(bool((counts.sum(2) == held).all()), f"{name}: counts must add up to n")
        again = binned_ks(np.ascontiguousarray(counts))
        same = [
            np.array_equal(again.ks, true["ks"][units], equal_nan=True),
            np.array_equal(again.bin, true["bin"][units]),
            np.array_equal(held, true["n_inner"][units]),
        ]
        pair.require(all(same), f"{name}: ks must be what the histograms give")
    pair.require(first == len(true["ks"]), f"{name}: every feature must have a histogram")


def _check_shuffled(
    pair: _Pair, name: str, sizes: npt.NDArray[Any], nonfinite: npt.NDArray[Any]
) -> None:
    """Each feature has as many values in all under any labels; where all are finite, by class."""
    first = None  # unit of the slice
    for rows in pair.row_groups(name, KS, "shuffled"):
        block = _distances(rows)
        first = block["unit"].min() if first is None else first
        units = block["unit"][:, 0, 0] - first
        expected = sizes[units]
        pair.require(
            bool((block["n_inner"].sum(1) == expected.sum(1)[:, None]).all()),
            f"{name}: n of every shuffle must add up to that of the true labels",
        )
        whole = nonfinite[units] == 0
        same = block["n_inner"][whole] == expected[whole][:, :, None]
        pair.require(bool(same.all()), f"{name}: shuffled labels must keep the sizes of classes")


def _column(table: pa.Table, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table[name].to_numpy()
    return values

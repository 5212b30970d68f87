"""Stage ``check``: the invariants, held against the files as they were written.

Run at the end of every run; what has been checked and not written since is not checked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.config import fingerprint
from kdsspark.errors import InvariantError
from kdsspark.spark import units
from kdsspark.spark.units import Outcome, Unit
from kdsspark.stats.ks import binned_ks
from kdsspark.storage import parquet, receipts
from kdsspark.storage.files import Store
from kdsspark.tables import EMBEDDINGS, FAILURES, HISTOGRAMS, IMAGES, KS, RANGES, Table


def check(session: SparkSession, store: Store, pairs: Sequence[tuple[str, str]]) -> None:
    """Check every (network, dataset); raises :class:`InvariantError` naming what disagrees."""
    work = [unit for network, dataset in pairs for unit in _plan(store, network, dataset)]
    units.run(session, store, receipts.CHECK, work, _call, "parts")


def _call(work: partial[None]) -> Outcome:
    work()
    return Outcome()


@dataclass(frozen=True)
class _Pair:
    store: Store
    network: str
    dataset: str

    def part(self, table: Table, name: str, *labels: str) -> pa.Table | None:
        path = f"{table.partition(self.network, self.dataset, *labels)}/{name}.parquet"
        return parquet.read_file(self.store, path) if self.store.exists(path) else None

    def require(self, holds: bool, what: str, *details: object) -> None:
        if not holds:
            seen = " ".join(str(detail) for detail in details)
            raise InvariantError(f"{self.network}/{self.dataset}: {what} {seen}".rstrip())


def _plan(store: Store, network: str, dataset: str) -> list[Unit]:
    pair = _Pair(store, network, dataset)
    shards = receipts.read(store, receipts.EMBED, f"{network}/{dataset}")
    n_images = sum(r.counts["embedded"] for r in shards.values())
    embedded = fingerprint(sorted((r.unit, r.digest) for r in shards.values()))
    prefix = f"{network}/{dataset}"
    work = [Unit(f"{prefix}/images", embedded, partial(_check_images, pair))]
    for name, receipt in receipts.read(store, receipts.MEASURE, prefix).items():
        part = name.rpartition("/")[2]
        work.append(Unit(name, receipt.digest, partial(_check_part, pair, part, n_images)))
    return work


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
    ranges, true = pair.part(RANGES, name), pair.part(KS, name, "true")
    shuffled, histograms = pair.part(KS, name, "shuffled"), pair.part(HISTOGRAMS, name)
    if ranges is None or true is None or shuffled is None:
        raise InvariantError(f"{pair.network}/{pair.dataset}: parts of {name} are missing")
    shape = (len(ranges), len(true) // max(1, len(ranges)))
    n_inner = _column(true, "n_inner").reshape(shape)
    nonfinite = _column(ranges, "n_nonfinite")
    if histograms is not None:
        _check_histograms(pair, name, histograms, true, shape)
    repeated = _column(shuffled, "n_inner").reshape(*shape, -1)
    sums = np.concatenate([n_inner.sum(1)[:, None], repeated.sum(1)], axis=1)
    pair.require(
        bool((sums + nonfinite[:, None] == n_images).all()),
        f"{name}: n over all classes + n_nonfinite must be {n_images} images",
    )
    whole = nonfinite == 0
    same = repeated[whole] == n_inner[whole][:, :, None]
    pair.require(bool(same.all()), f"{name}: shuffled labels must keep the sizes of classes")


def _check_histograms(
    pair: _Pair, name: str, histograms: pa.Table, true: pa.Table, shape: tuple[int, int]
) -> None:
    flat = pc.list_flatten(histograms["counts"]).to_numpy()
    counts = flat.reshape(*shape, -1)
    n = _column(histograms, "n").reshape(shape)
    pair.require(bool((counts.sum(2) == n).all()), f"{name}: counts must add up to n")
    again = binned_ks(np.ascontiguousarray(counts))
    ks = _column(true, "ks").reshape(shape)  # null reads as NaN
    same = (again.ks == ks) | (np.isnan(again.ks) & np.isnan(ks))
    pair.require(
        bool(same.all() and (again.bin == _column(true, "bin").reshape(shape)).all()),
        f"{name}: ks must be what the histograms give",
    )


def _column(table: pa.Table, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table[name].to_numpy()
    return values

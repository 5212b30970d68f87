"""Stage ``check``: the invariants, held against the files as they were written.

Run at the end of every run; what has been checked and not written since is not checked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.config import Config, Measure
from kdsspark.engine.stage import Context, ItemPlan, total
from kdsspark.engine.work import Outcome, WorkItem, run_items
from kdsspark.errors import InvariantError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import CHECK, EMBED, MEASURE
from kdsspark.stages.embed import complete
from kdsspark.stats.ks import binned_ks
from kdsspark.tables import EMBEDDINGS, FAILURES, HISTOGRAMS, IMAGES, KS, RANGES, Table


@dataclass(frozen=True)
class CheckPlan(ItemPlan):
    """What is checked of one dataset by one network."""

    items: tuple[CheckItem, ...]


@dataclass(frozen=True, kw_only=True)
class CheckItem(WorkItem):
    """Something to check of one pair: subclasses say what."""

    output: Output
    pair: Pair
    settings: Measure

    def check(self) -> None:
        """Raise :class:`InvariantError` where an invariant does not hold (executor)."""
        raise NotImplementedError

    def row_groups(self, name: str, table: Table, *labels: str) -> Iterator[pa.Table]:
        """A slice's part of a table, a block of its units at a time."""
        path = table.part(name, *self.pair, *labels)
        self.require(self.output.exists(path), f"{path} is missing")
        return parquet.row_groups(self.output, path)

    def require(self, holds: bool, what: str, *details: object) -> None:
        """Raise :class:`InvariantError` unless the invariant ``holds``."""
        if not holds:
            seen = " ".join(str(detail) for detail in details)
            raise InvariantError(f"{self.pair}: {what} {seen}".rstrip())


class ImagesItem(CheckItem):
    """Invariant 1 for the images of a pair."""

    def check(self) -> None:
        """Invariant 1: indexed = embedded + failed, no image twice."""
        _check_images(self)


@dataclass(frozen=True, kw_only=True)
class SliceItem(CheckItem):
    """Invariants 2, 3 and 5 for one measured slice."""

    n_images: int  # embedded

    def check(self) -> None:
        """Counts add up, distances follow from histograms, shuffles keep class sizes."""
        _check_part(self, self.name.part, self.n_images)


def run(context: Context) -> None:
    """Check every pair; raises :class:`InvariantError` naming what disagrees."""
    output = context.output
    plans = [plan(output, context.config, pair) for pair in complete.working_pairs(context)]
    items = [item for planned in plans for item in planned.items]
    run_items(context.session, CHECK.receipts(output), items, _check, CHECK.counted)
    CHECK.receipts(output).gather()


def plan(output: Output, config: Config, pair: Pair) -> CheckPlan:
    """What is checked of a dataset, whether it has been or not: its images, and every slice."""
    shards = EMBED.receipts(output).of(pair)
    checked: dict[str, Any] = {"output": output, "pair": pair, "settings": config.measure}
    embedded = fingerprint(sorted((name, receipt.digest) for name, receipt in shards.items()))
    n_images = total(shards, "embedded")
    items: list[CheckItem] = [ImagesItem(name=pair.item("images"), digest=embedded, **checked)]
    for name, receipt in MEASURE.receipts(output).of(pair).items():
        items.append(SliceItem(name=name, digest=receipt.digest, n_images=n_images, **checked))
    return CheckPlan(CHECK.name, {item.name: item.digest for item in items}, tuple(items))


def _check(item: CheckItem) -> Outcome:
    item.check()
    return Outcome()


def _check_images(pair: CheckItem) -> None:
    """Invariant 1: indexed = embedded + failed, no image twice."""
    indexed = parquet.read(pair.output, IMAGES, pair.pair.dataset, columns=["image_id"])
    seen = [
        parquet.read(pair.output, table, *pair.pair, columns=["image_id"])
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


def _check_part(pair: CheckItem, name: str, n_images: int) -> None:
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


def _check_histograms(pair: CheckItem, name: str, true: _Distances) -> None:
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
    pair: CheckItem, name: str, sizes: npt.NDArray[Any], nonfinite: npt.NDArray[Any]
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

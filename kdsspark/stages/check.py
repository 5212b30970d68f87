"""Stage ``check``: hold the invariants of the tables against the files as they were written.

A run ends with this stage. It checks what has been written since it was last checked:

- every indexed image is embedded or failed, and none is there twice;
- where an image may have several labels, ``image_classes`` has those that ``images`` has;
- ``n`` over all classes and ``n_nonfinite`` add up to the embedded images; where an image may have
  several labels, ``n`` over all images does;
- ``counts`` of ``histograms`` add up to ``n``, and ``ks`` and ``bin`` follow from them bit for bit;
- ``auc``, its p-value and the shares of non-zeros are from 0 to 1, and there wherever ``ks`` is;
- shuffled labels keep the sizes of the classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.config import Config, Measure
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context, ItemPlan, total
from kdsspark.engine.work import run_items
from kdsspark.errors import InvariantError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import CHECK, EMBED, MEASURE, label_sets
from kdsspark.stages.embed import complete
from kdsspark.stats.ks import binned_ks
from kdsspark.tables import (
    EMBEDDINGS,
    FAILURES,
    HISTOGRAMS,
    IMAGE_CLASSES,
    IMAGES,
    KS,
    RANGES,
    Table,
)


@dataclass(frozen=True)
class CheckPlan(ItemPlan):
    """What is checked of one dataset by one network."""

    items: tuple[CheckItem, ...]


def run(context: Context) -> None:
    """Check every pair; raises :class:`InvariantError` naming what disagrees."""
    output = context.output
    plans = [plan(output, context.config, pair) for pair in complete.working_pairs(context)]
    items = [item for planned in plans for item in planned.items]
    run_items(context.session, CHECK.receipts(output), items, check_item, CHECK.counted)
    CHECK.receipts(output).gather()


def plan(output: Output, config: Config, pair: Pair) -> CheckPlan:
    """What there is to check of a dataset, done or not: its images, and every measured slice."""
    shards = EMBED.receipts(output).of(pair)
    several = config.several(pair.dataset)
    checked: dict[str, Any] = {
        "output": output,
        "pair": pair,
        "settings": config.measure,
        "several": several,
    }
    embedded = fingerprint(sorted((name, receipt.digest) for name, receipt in shards.items()))
    n_images = total(shards, "embedded")
    items: list[CheckItem] = [ImagesItem(name=pair.item("images"), digest=embedded, **checked)]
    for name, receipt in MEASURE.receipts(output).of(pair).items():
        items.append(SliceItem(name=name, digest=receipt.digest, n_images=n_images, **checked))
    return CheckPlan(CHECK.name, {item.name: item.digest for item in items}, tuple(items))


# -- executor ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CheckItem(WorkItem):
    """Something to check of one pair; subclasses say what."""

    output: Output
    pair: Pair
    settings: Measure
    several: bool = False  # labels an image

    @property
    def subject(self) -> str:
        """What errors begin with."""
        return str(self.pair)

    def check(self) -> None:
        """Raise :class:`InvariantError` where an invariant does not hold."""
        raise NotImplementedError

    def require(self, holds: bool, what: str) -> None:
        """Raise :class:`InvariantError` unless the invariant ``what`` ``holds``."""
        if not holds:
            raise InvariantError(f"{self.subject}: {what}")


def check_item(item: CheckItem) -> Outcome:
    """Check one item (executor)."""
    item.check()
    return Outcome()


class ImagesItem(CheckItem):
    """The images of a pair."""

    def check(self) -> None:
        """Indexed = embedded + failed, and no image twice."""
        indexed = parquet.read(self.output, IMAGES, self.pair.dataset, columns=["image_id"])
        embedded, failed = (
            parquet.read(self.output, table, *self.pair, columns=["image_id"])
            for table in (EMBEDDINGS, FAILURES)
        )
        both = pa.concat_tables([embedded, failed])["image_id"]
        once = pc.count_distinct(both).as_py() == len(both)
        self.require(once, "an image is embedded or failed twice")
        missing = pc.invert(pc.is_in(indexed["image_id"], value_set=both.combine_chunks()))
        self.require(
            len(indexed) == len(both) and not pc.any(missing).as_py(),
            "images indexed must be those embedded and failed, got "
            f"{len(indexed)} indexed, {len(embedded)} embedded, {len(failed)} failed",
        )
        if self.several:
            self._check_labels()

    def _check_labels(self) -> None:
        dataset = self.pair.dataset
        texts = parquet.read(self.output, IMAGES, dataset, columns=["class_name"])["class_name"]
        rows = parquet.read(self.output, IMAGE_CLASSES, dataset, columns=["class_id"])["class_id"]
        sizes = label_sets.read(self.output, dataset).sizes(texts)
        same = np.array_equal(np.bincount(rows.to_numpy(), minlength=len(sizes)), sizes)
        self.require(same, "image_classes must have the labels of images")


_Distances = dict[str, npt.NDArray[Any]]
"""Column of ``ks`` -> [units, classes, shuffles]; null reads as NaN."""

_COMPARED: Final = ("unit", "n_inner", "n_outer", "ks", "bin")
_SHARES: Final = ("auc", "p_auc", "nonzero_inner", "nonzero_outer")


@dataclass(frozen=True, kw_only=True)
class SliceItem(CheckItem):
    """The tables of one measured slice."""

    n_images: int  # embedded

    @property
    def subject(self) -> str:
        """The pair and the slice."""
        return f"{self.pair}: {self.name.part}"

    def check(self) -> None:
        """Counts add up, distances follow from histograms, shuffles keep the sizes of classes."""
        ranges = [_column(rows, "n_nonfinite") for rows in self._row_groups(RANGES)]
        columns = (*_COMPARED, *_SHARES)
        blocks = [self._distances(rows, columns) for rows in self._row_groups(KS, "true")]
        both = "every feature must have a range and distances"
        self.require(bool(ranges and blocks), both)
        nonfinite = np.concatenate(ranges)
        true = {key: np.concatenate([rows[key] for rows in blocks])[..., 0] for key in columns}
        sizes = true["n_inner"]
        self.require(len(sizes) == len(nonfinite), both)
        finite = self.n_images - nonfinite
        what = "n_inner + n_outer" if self.several else "n over all classes"
        every = f"{what} + n_nonfinite must be {self.n_images} images"
        self._check_images(true, finite, every)
        if self.settings.histograms:
            self._check_histograms(true, finite)
        if self.settings.exact:
            self._check_shares(true)
        if self.settings.keep_shuffled:
            self._check_shuffled(sizes, finite)

    def _check_images(self, found: _Distances, finite: npt.NDArray[Any], message: str) -> None:
        """Every image with a value, ``finite`` [units] of them, counts once.

        With one label an image in one of the classes, else in inner or in outer of each class. The
        first axes of ``found`` are units and classes.
        """
        inner = found["n_inner"]
        counted = inner + found["n_outer"] if self.several else inner.sum(1)
        self.require(bool(np.equal(counted.T, finite).all()), message)

    def _check_shares(self, true: _Distances) -> None:
        """They are from 0 to 1 where there is a distance, and null elsewhere."""
        undefined = np.isnan(true["ks"])
        for name in _SHARES:
            found = true[name]
            right = np.where(undefined, np.isnan(found), (found >= 0) & (found <= 1))
            self.require(bool(right.all()), f"{name} must be from 0 to 1, and null where ks is")

    def _check_histograms(self, true: _Distances, finite: npt.NDArray[Any]) -> None:
        """They add up, and give the distances ``true`` (arrays [units, classes])."""
        n_counted, first = true["ks"].shape[1] + self.several, 0
        every = "every feature must have a histogram for every class"
        for rows in self._row_groups(HISTOGRAMS):
            self.require(len(rows) % n_counted == 0, every)
            bins = pc.count_distinct(pc.list_value_length(rows["counts"])).as_py()
            self.require(bins == 1, "histograms must have the same number of bins")
            n = _column(rows, "n").reshape(-1, n_counted)
            units = slice(first, first + len(n))
            first = units.stop
            counts = pc.list_flatten(rows["counts"]).to_numpy().reshape(*n.shape, -1)
            self.require(bool((counts.sum(2) == n).all()), "counts must add up to n")
            totals = None
            if self.several:
                whole = "the histogram of all images must be the first of each feature"
                self.require(np.array_equal(n[:, 0], finite[units]), whole)
                totals, counts, n = counts[:, 0], counts[:, 1:], n[:, 1:]
            again = binned_ks(counts, totals)
            same = [
                np.array_equal(again.ks, true["ks"][units], equal_nan=True),
                np.array_equal(again.bin, true["bin"][units]),
                np.array_equal(n, true["n_inner"][units]),
            ]
            self.require(all(same), "ks must be what the histograms give")
        self.require(first == len(true["ks"]), every)

    def _check_shuffled(self, sizes: npt.NDArray[Any], finite: npt.NDArray[Any]) -> None:
        """Under any labels a feature has as many values; if all are finite, in every class.

        ``sizes`` [units, classes] are those of the true labels, ``finite`` is [units].
        """
        first, found = None, 0  # unit of the slice; rows
        every = f"every feature must have distances of {self.settings.shuffles} shuffles"
        for rows in self._row_groups(KS, "shuffled"):
            block = self._distances(rows)
            first = block["unit"].min() if first is None else first
            found += len(rows)
            units = block["unit"][:, 0, 0] - first
            self.require(bool((units < len(sizes)).all()), every)
            expected = sizes[units]
            as_true = "n of every shuffle must add up to that of the true labels"
            self._check_images(block, finite[units], as_true)
            whole = finite[units] == self.n_images
            same = block["n_inner"][whole] == expected[whole][:, :, None]
            self.require(bool(same.all()), "shuffled labels must keep the sizes of classes")
        self.require(found == sizes.size * self.settings.shuffles, every)

    def _distances(self, rows: pa.Table, columns: Sequence[str] = _COMPARED) -> _Distances:
        shape = [pc.count_distinct(rows[key]).as_py() for key in ("unit", "class_id", "shuffle")]
        whole = math.prod(shape) == len(rows)
        self.require(whole, "every feature must have a distance for every class and shuffle")
        return {column: _column(rows, column).reshape(shape) for column in columns}

    def _row_groups(self, table: Table, *labels: str) -> Iterator[pa.Table]:
        """The slice's part of a table, a block of its units at a time."""
        path = table.part(self.name.part, *self.pair, *labels)
        if not self.output.exists(path):
            raise InvariantError(f"{self.pair}: {path} is missing")
        return parquet.row_groups(self.output, path)


def _column(table: pa.Table, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table[name].to_numpy()
    return values

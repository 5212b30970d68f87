"""Stage ``exemplars``: the images and patches that excite each unit most (driver).

For every unit, the images of a reference corpus whose map has the highest maximum, one place an
image (Zeiler & Fergus 2014, figure 2; paper figures 2 to 4 and 7). A work item is a shard of the
embeddings. Its images go through the network once more, because the embeddings keep only means.
The rankings of all shards are merged by one fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.config import Config, Exemplars
from kdsspark.engine import gpus
from kdsspark.engine.fold import FILES_OF_A_TASK, fold
from kdsspark.engine.stage import Context, ItemPlan, Standing, prune
from kdsspark.engine.work import run_items
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import BEST, ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, EXEMPLARS, removal
from kdsspark.stages.embed import again, complete, networks
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.stages.exemplars import ranking
from kdsspark.stages.exemplars.ranking import PLACE, Ranking
from kdsspark.stages.exemplars.shard_task import FindExemplars, LookThrough
from kdsspark.tables import EXEMPLARS as TABLE

_TABLE: Final = "exemplars_table"
"""The receipts of the merged rankings."""

# Merging tasks, and one more for each pair at most. Each sends the driver a ranking: 5 MB of VGG16.
_MERGING_TASKS: Final = 16

_FORMAT: Final = 1  # of the files written; if it changes, every shard is looked through again


@dataclass(frozen=True)
class ExemplarsPlan(ItemPlan):
    """Which shards of a pair are to be looked through."""

    pair: Pair
    n_images: Mapping[ItemName, int]  # that are embedded, of each shard
    digest: str  # of the table

    def finished(self, output: Output) -> bool:
        """Whether there is nothing to do."""
        return self._merged(output) and super().finished(output)

    def standing(self, output: Output) -> Standing:
        """The shards; all are stale where only the table is missing."""
        found = super().standing(output)
        if self._merged(output):
            return found
        return replace(found, done=0, stale=found.done + found.stale)

    def _merged(self, output: Output) -> bool:
        return output.receipts(_TABLE).finished({self.pair.name: self.digest})


def wanted(config: Config, pair: Pair) -> bool:
    """Whether a pair has exemplars: its dataset is the reference corpus of its network."""
    return corpus_of(config, pair) == pair


def corpus_of(config: Config, pair: Pair) -> Pair | None:
    """The pair whose images are the exemplars of a pair's units; None where none are wanted.

    That is the configured reference corpus, or the pair itself where there is none, or where its
    network has no embeddings of it.
    """
    if not config.exemplars:
        return None
    corpus = Pair(pair.network, config.exemplars.dataset or pair.dataset)
    pairs = {Pair(network, dataset.name) for network, dataset in config.pairs()}
    return corpus if corpus in pairs else pair


def plan(output: Output, config: Config, pair: Pair) -> ExemplarsPlan:
    """Which shards to look through, done or not.

    Raises :class:`DatasetError` where the dataset is not embedded.
    """
    assert config.exemplars, "planned only where wanted"
    made = EMBED.receipts(output).of(pair)
    if not made or not complete.is_current(output, pair):
        raise DatasetError(
            f"dataset {pair.dataset}: is not embedded by {pair.network}, run the embed stage first"
        )
    settings = [_FORMAT, config.exemplars.top, config.exemplars.crops]
    n_images = {name: r.counts["embedded"] for name, r in sorted(made.items())}
    looked_at = [name for name, n in n_images.items() if n]
    digests = {name: fingerprint([settings, made[name].digest]) for name in looked_at}
    digest = fingerprint([settings, sorted(digests.items())])
    return ExemplarsPlan(EXEMPLARS.name, digests, pair, n_images, digest)


def run(context: Context) -> None:
    """Find the exemplars of every pair that wants them, and remove those of others."""
    output, config = context.output, context.config
    for pair in context.pairs:
        if not wanted(config, pair):
            _remove(output, pair)
    pairs = [pair for pair in complete.working_pairs(context) if wanted(config, pair)]
    plans = [plan(output, config, pair) for pair in pairs]
    todo = [p for p in plans if not p.finished(output)]
    receipts = EXEMPLARS.receipts(output)
    for p in todo:
        parts = [name.part for name in p.digests]
        prune(output, receipts, p.pair, p.digests, {output.beside(BEST, p.pair): parts})
    if todo and config.exemplars:
        _look_through(context, config.exemplars, todo)
        _merge(context, config.exemplars.top, todo)
    receipts.gather()


def _remove(output: Output, pair: Pair) -> None:
    for kind in (EXEMPLARS.name, _TABLE):
        output.receipts(kind).remove_of(pair)
    removal.remove_files(output, EXEMPLARS, pair)


# -- looking through shards ----------------------------------------------------------------------


def _look_through(context: Context, settings: Exemplars, plans: Sequence[ExemplarsPlan]) -> None:
    """Rank the images of the shards that are not done, those of ready-made embeddings last."""
    output, session = context.output, context.session
    ready_made = {Pair(d.network, d.name) for d in context.config.embeddings_datasets}
    specs = networks.saved_networks(output, context.config)  # values without a place, all the same
    ready_made |= {p.pair for p in plans if (s := specs.get(p.pair.network)) and s.is_pixels}
    of_images = [item for p in plans if p.pair not in ready_made for item in _images(context, p)]
    of_files = [item for p in plans if p.pair in ready_made for item in _files(output, p)]
    receipts, top = EXEMPLARS.receipts(output), settings.top
    if of_images:
        slots = gpus.slots(session.sparkContext)
        task = FindExemplars(output, top, image_jobs(context, settings.crops))
        run_items(session, receipts, of_images, task, "images", slots.spread, slots.at_once)
    run_items(session, receipts, of_files, FindExemplars(output, top, {}), "images")


def image_jobs(context: Context, crops: Literal["center", "ten"]) -> dict[Pair, ImageJob]:
    """How the images of each dataset go through each network."""
    return again.image_jobs(context, pooling="peak", crops=crops)


def _images(context: Context, planned: ExemplarsPlan) -> Iterator[LookThrough]:
    """The shards of images to look through; their rows are written for the tasks."""
    todo = _stale(context.output, planned)
    for name, shard in again.shards_to_read(context, planned.pair, EXEMPLARS.name, todo):
        yield _item(planned, name, shard)


def _files(output: Output, planned: ExemplarsPlan) -> list[LookThrough]:
    """The shards of ready-made embeddings to look through."""
    return [_item(planned, name) for name in _stale(output, planned)]


def _stale(output: Output, planned: ExemplarsPlan) -> list[ItemName]:
    done = EXEMPLARS.receipts(output).named(planned.digests)
    return [n for n, d in planned.digests.items() if n not in done or done[n].digest != d]


def _item(planned: ExemplarsPlan, name: ItemName, shard: Shard | None = None) -> LookThrough:
    digest, size = planned.digests[name], planned.n_images[name]
    return LookThrough(name=name, digest=digest, size=size, shard=shard)


# -- the table -----------------------------------------------------------------------------------


def _merge(context: Context, top: int, plans: Sequence[ExemplarsPlan]) -> None:
    """Merge the rankings of each pair's shards, and write the table."""
    output = context.output
    files = {p.pair: [output.beside(BEST, p.pair, n.part) for n in p.digests] for p in plans}
    load = partial(_of_shard, output, top)
    at_least = max(FILES_OF_A_TASK, -(-sum(map(len, files.values())) // _MERGING_TASKS))
    merged = fold(context.session, EXEMPLARS.name, files, load, Ranking.merge, at_least)
    for p in plans:
        rows = table_of(merged[p.pair], networks.layer_widths(output, p.pair.network))
        parquet.write(output, TABLE.part("part-0", *p.pair), rows, TABLE.schema)
        output.receipts(_TABLE).write(Receipt(p.pair.name, p.digest, {"rows": len(rows)}))


def _of_shard(output: Output, top: int, _: Pair, path: str) -> Iterator[Ranking]:
    yield ranking.from_table(parquet.read_file(output, path), top)


def table_of(found: Ranking, widths: dict[str, int]) -> pa.Table:
    """Rows of ``exemplars``; ``widths`` are the units of each layer, in order."""
    feature, rank = np.nonzero(found.image >= 0)
    columns: dict[str, npt.NDArray[Any]] = {
        "layer": np.repeat(list(widths), list(widths.values()))[feature],
        "unit": np.concatenate([np.arange(n) for n in widths.values()])[feature],
        "rank": rank + 1,
        "image_id": np.array(found.ids, object)[found.image[feature, rank]],
        "activation": found.activation[feature, rank],
        "n_active": found.n_active[feature],
        "n": np.full(len(feature), found.n),
        **dict(zip(PLACE, found.place[feature, rank].T, strict=True)),
    }
    table = {
        name: pa.array(values, mask=values < 0 if name in PLACE else None)
        for name, values in columns.items()
    }
    return pa.table(table).select(TABLE.schema.names).cast(TABLE.schema)

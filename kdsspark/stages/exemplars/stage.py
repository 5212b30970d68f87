"""Stage ``exemplars``: the images and patches that excite each unit most (driver).

For every unit, the images of a reference corpus whose map has the highest maximum, one place an
image (Zeiler & Fergus 2014, figure 2; paper figures 2 to 4 and 7). A work item is a shard of the
embeddings. Its images go through the network once more, because the embeddings keep only means.
The rankings of all shards are merged by one fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.fold import fold
from kdsspark.engine.session import Session
from kdsspark.engine.stage import Context, ItemPlan, prune
from kdsspark.engine.work import run_items
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import BEST, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, EXEMPLARS
from kdsspark.stages.embed import complete, networks, shards
from kdsspark.stages.embed import stage as embed
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.sharding import split
from kdsspark.stages.embed.shards import Shard
from kdsspark.stages.exemplars import ranking
from kdsspark.stages.exemplars.ranking import PLACE, Ranking
from kdsspark.stages.exemplars.shard_task import FindExemplars, LookThrough
from kdsspark.tables import EXEMPLARS as TABLE

_TABLE: Final = "exemplars_table"
"""The receipts of the merged rankings."""

_FORMAT: Final = 1  # of the files written; if it changes, every shard is looked through again


@dataclass(frozen=True)
class ExemplarsPlan(ItemPlan):
    """Which shards of a pair are to be looked through."""

    pair: Pair
    top: int
    digest: str  # of the table

    def finished(self, output: Output) -> bool:
        """Whether there is nothing to do."""
        merged = output.receipts(_TABLE).finished({self.pair.name: self.digest})
        return merged and super().finished(output)


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
    digests = {
        name: fingerprint([settings, receipt.digest])
        for name, receipt in sorted(made.items())
        if receipt.counts["embedded"]
    }
    digest = fingerprint([settings, sorted(digests.items())])
    return ExemplarsPlan(EXEMPLARS.name, digests, pair, config.exemplars.top, digest)


def run(context: Context) -> None:
    """Find the exemplars of every pair that wants them, and remove those of others."""
    output, config = context.output, context.config
    for pair in context.pairs:
        if not wanted(config, pair):
            _remove(output, pair)
    pairs = [pair for pair in complete.working_pairs(context) if wanted(config, pair)]
    plans = [plan(output, config, pair) for pair in pairs]
    todo = [p for p in plans if not p.finished(output)]
    if not todo:
        return
    for p in todo:
        prune(
            output,
            EXEMPLARS.receipts(output),
            p.pair,
            p.digests,
            {
                output.beside(BEST, p.pair): [name.part for name in p.digests],
            },
        )
    _look_through(context, todo)
    _merge(context.session, output, todo)


def _remove(output: Output, pair: Pair) -> None:
    for kind in (EXEMPLARS.name, _TABLE):
        output.receipts(kind).remove_of(pair)
    for folder in (TABLE.partition(*pair), output.beside(BEST, pair)):
        for path in output.files(folder):
            output.remove(path)


def _look_through(context: Context, plans: Sequence[ExemplarsPlan]) -> None:
    """Rank the images of the shards that are not done: those of ready-made embeddings last."""
    output, session = context.output, context.session
    ready_made = {Pair(d.network, d.name) for d in context.config.embeddings_datasets}
    receipts = EXEMPLARS.receipts(output)
    images: list[LookThrough] = []
    files: list[LookThrough] = []
    for p in plans:
        (files if p.pair in ready_made else images).extend(_items(context, p))
    if images:
        slots = gpus.slots(session.sparkContext)
        task = FindExemplars(_jobs(context))
        run_items(session, receipts, images, task, "images", slots.spread, slots.at_once)
    run_items(session, receipts, files, FindExemplars({}), "images")


def _jobs(context: Context) -> dict[Pair, ImageJob]:
    """How the images of each dataset go through each network."""
    output, config = context.output, context.config
    assert config.exemplars
    crops, jobs = config.exemplars.crops, {}
    for network in networks.prepare_networks(context):
        spec = replace(network.spec, pooling="peak", crops=crops)
        for dataset in config.image_datasets:
            pair = Pair(spec.name, dataset.name)
            jobs[pair] = ImageJob(output, pair, spec, network.weights, config.embed)
    return jobs


def _items(context: Context, planned: ExemplarsPlan) -> Iterator[LookThrough]:
    """The shards that are not done; for those of images, their rows are written for the tasks."""
    output, pair = context.output, planned.pair
    done = EXEMPLARS.receipts(output).named(planned.digests)
    todo = {n.part: d for n, d in planned.digests.items() if n not in done or done[n].digest != d}
    if not todo:
        return
    embedded = embed.plan(output, context.config, pair)
    assert isinstance(embedded, embed.EmbedPlan), "the dataset is embedded"
    stale = (shard for shard in split(embedded.assigned) if shard[0].name in todo)
    located: Iterator[Shard]
    if pair.network not in {network.name for network in context.config.networks}:
        located = iter(replace(shard, plan="") for shard, _rows in stale)
    else:
        located = shards.write_plan(output, output.plans(EXEMPLARS.name, pair), stale)
    for shard in located:
        yield LookThrough(
            name=pair.item(shard.name),
            digest=todo[shard.name],
            size=shard.n_images,
            output=output,
            pair=pair,
            top=planned.top,
            shard=shard if shard.plan else None,
        )


def _merge(session: Session, output: Output, plans: Sequence[ExemplarsPlan]) -> None:
    """Merge the rankings of each pair's shards, and write the table."""
    tops = {p.pair: p.top for p in plans}
    files = {p.pair: [output.beside(BEST, p.pair, n.part) for n in p.digests] for p in plans}
    merged = fold(session, "exemplars", files, partial(_of_shard, output, tops), Ranking.merge)
    for p in plans:
        rows = table_of(merged[p.pair], networks.layer_widths(output, p.pair.network))
        parquet.write(output, TABLE.part("part-0", *p.pair), rows, TABLE.schema)
        output.receipts(_TABLE).write(Receipt(p.pair.name, p.digest, {"rows": len(rows)}))


def _of_shard(output: Output, tops: dict[Pair, int], pair: Pair, path: str) -> Iterator[Ranking]:
    yield ranking.from_table(parquet.read_file(output, path), tops[pair])


def table_of(found: Ranking, widths: dict[str, int]) -> pa.Table:
    """Rows of ``exemplars``; ``widths`` are the units of each layer, in order."""
    n_units, top = found.image.shape
    known = found.image >= 0
    layer = np.repeat(np.repeat(list(widths), list(widths.values())), top)[known.ravel()]
    unit = np.repeat(np.concatenate([np.arange(n) for n in widths.values()]), top)
    rank = np.tile(np.arange(1, top + 1), n_units)
    place = found.place[known]
    n_active = np.repeat(found.n_active, top)[known.ravel()]
    columns = {
        "layer": layer,
        "unit": unit[known.ravel()].astype(np.int32),
        "rank": rank[known.ravel()].astype(np.int32),
        "image_id": np.array(found.ids, object)[found.image[known]],
        "activation": found.activation[known],
        "n_active": n_active,
        "n": np.full_like(n_active, found.n),
    }
    columns |= {name: place[:, n] for n, name in enumerate(PLACE)}
    table = {
        name: pa.array(values, mask=values < 0 if name in PLACE else None)
        for name, values in columns.items()
    }
    return pa.table(table).select(TABLE.schema.names).cast(TABLE.schema)

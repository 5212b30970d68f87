"""Stage ``embed``: images, or ready-made embeddings, to one row of lists an image (driver).

The driver decides what each shard must hold. A task fetches, decodes and embeds the rows its
shard lacks and writes the shard's two files. Nothing heavy passes through the JVM.

Shards are named by the network's fingerprint and by what they were made of, so rows of another
network are never taken for this one's. A shard's receipt has the digest ``<digest>-<attempt>``: the
digest of what the shard must hold (:mod:`.sharding`), and a number for each time it was planned.
So what follows from a shard is computed again whenever the shard was, even if the shard must hold
the same rows: images that failed may have been embedded since.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from kdsspark.config import Config, Dataset
from kdsspark.datasets import readymade
from kdsspark.engine import gpus
from kdsspark.engine.stage import Context, Standing, total
from kdsspark.engine.work import Session, run_items
from kdsspark.errors import DatasetError, TooManyFailuresError
from kdsspark.output import parquet
from kdsspark.output.names import RANGES, REUSE, Pair, stem
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, index, removal
from kdsspark.stages.embed import attempts, complete, duplicates, networks, processors
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.import_task import ImportFiles, ImportJob
from kdsspark.stages.embed.shard_task import EmbedImages, ShardItem
from kdsspark.stages.embed.shards import contents, ranges, sharding
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.sharding import Assigned
from kdsspark.stages.embed.shards.state import HeldShards, Shard
from kdsspark.tables import EMBEDDINGS, FAILURES


@dataclass(frozen=True, eq=False)
class EmbedPlan:
    """Which shards a dataset by one network must have, and what the output holds of them."""

    pair: Pair
    held: HeldShards
    assigned: Assigned
    n_held: int  # images of the index that some finished shard holds

    def standing(self, _: Output) -> Standing:
        """Images held against the shards."""
        current = [
            self.held.finished[shard.name].counts
            for shard, _rows in sharding.split(self.assigned)
            if self.held.is_current(shard)
        ]
        done, failed = (sum(counts[key] for counts in current) for key in ("embedded", "failed"))
        missing = len(self.assigned.images) - self.n_held
        return Standing(done, self.n_held - done - failed, missing, failed)


@dataclass(frozen=True)
class _NothingPlanned:
    """What can be planned of a dataset whose network is not prepared, or that is not indexed."""

    n_images: int

    def standing(self, _: Output) -> Standing:
        """All is missing."""
        return Standing(missing=self.n_images)


def plan(output: Output, config: Config, pair: Pair) -> EmbedPlan | _NothingPlanned:
    """Deal the images of the index out to shards, as those stay that the output holds."""
    dataset = _dataset(config, pair)
    ids = index.image_ids(output, dataset.name)
    key = "" if dataset.ready_made else networks.saved_fingerprint(output, pair.network)
    if not len(ids) or key is None:
        return _NothingPlanned(len(ids))
    prefix = shards.FILE_PREFIX if dataset.ready_made else shards.name_prefix(key)
    held, rows = shards.held(output, pair, prefix)
    places = shards.places(ids, rows)
    del ids, rows  # with ten million images, gigabytes; before the other columns come
    wanted = index.images(output, dataset.name)
    if dataset.ready_made:
        assigned = sharding.assign_files(wanted)
    else:
        size = sharding.shard_size(len(wanted), config.embed.shard_images)
        assigned = sharding.assign(wanted, places, size, key)
    return EmbedPlan(pair, held, assigned, int((places.of_image >= 0).sum()))


def run(context: Context) -> None:
    """Embed what is indexed and not embedded.

    Raises :class:`DatasetError` where a dataset is not indexed, and when all is done
    :class:`TooManyFailuresError`.
    """
    output, config = context.output, context.config
    sources = {Pair(d.network, d.name): readymade.source(d) for d in config.embeddings_datasets}
    networks.write_ready_made_features(output, list(sources.values()))
    imports = {pair: ImportJob(output, source) for pair, source in sources.items()}
    work = {pair: _work(output, config, pair) for pair in imports}
    images: dict[Pair, ImageJob] = {}
    for network in networks.prepare_networks(context):
        for dataset in config.image_datasets:
            pair = Pair(network.spec.name, dataset.name)
            if context.retry_failures:
                _forget_failures(output, pair)
            images[pair] = ImageJob(output, pair, network.spec, network.weights, config.embed)
            work[pair] = _work(output, config, pair)
    items = [item for one in work.values() for item in one.items]
    _embed(context.session, output, items, images, imports)
    for pair, one in work.items():
        _remove(output, pair, one.emptied)
    output.remove(REUSE)
    for pair in context.pairs:
        complete.commit(output, pair)
        if complete.all_failed(output, pair):
            removal.remove_results(output, pair)
    duplicates.find(context)
    EMBED.receipts(output).gather()
    for pair in context.pairs:
        shards.gather_held_rows(output, pair)
    _refuse_failures(output, config, context.pairs)


def _dataset(config: Config, pair: Pair) -> Dataset:
    return next(dataset for dataset in config.datasets if dataset.name == pair.dataset)


# -- planning ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """What is to do for a pair."""

    items: Sequence[ShardItem]  # shards that are not up to date
    # Finished shards whose images are all gone. They go when the tasks have ended, since the images
    # may have moved, and then their features are needed.
    emptied: Collection[str]


def _work(output: Output, config: Config, pair: Pair) -> _Work:
    """Plan a pair, and write the rows that its shards must hold for their tasks.

    What is unfinished, or belongs to another network, is removed.
    """
    _clean(output, pair)
    planned = plan(output, config, pair)
    if isinstance(planned, _NothingPlanned):
        raise DatasetError(f"dataset {pair.dataset}: is not indexed, run the index stage first")
    _remove(output, pair, planned.held.others)
    every: set[str] = set()

    def stale() -> Iterator[tuple[Shard, pa.Table]]:
        for shard, rows in sharding.split(planned.assigned):
            every.add(shard.name)
            if not planned.held.is_current(shard):
                yield shard, rows

    attempt = uuid.uuid4().hex[:8]
    items = [
        ShardItem(
            name=pair.item(shard.name),
            digest=f"{shard.digest}-{attempt}",
            size=shard.n_images,
            pair=pair,
            shard=shard,
        )
        for shard in shards.write_plan(output, output.plans(EMBED.name, pair), stale())
    ]
    # A dataset without failures has a part too, so that every table can be read.
    none = _no_failures(pair)
    if not output.exists(none):
        parquet.write(output, none, FAILURES.schema.empty_table(), FAILURES.schema)
    return _Work(items, planned.held.finished.keys() - every)


def _forget_failures(output: Output, pair: Pair) -> None:
    """Remove the records of failed images, so that the next plan has them tried again."""
    for path in output.files(FAILURES.partition(*pair)):
        if path != _no_failures(pair):
            output.remove(path)


def _no_failures(pair: Pair) -> str:
    return FAILURES.part("none", *pair)


def _remove(output: Output, pair: Pair, names: Collection[str]) -> None:
    """Take shards out of the tables; receipts go first, so that none vouches for lost files."""
    for name in names:
        EMBED.receipts(output).remove(pair.item(name))
    for table in (EMBEDDINGS, FAILURES) if names else ():
        for path in output.files(table.partition(*pair)):
            if stem(path) in names:
                output.remove(path)
                if table is EMBEDDINGS:
                    output.remove(ranges.path_of(path))


def _clean(output: Output, pair: Pair) -> None:
    """Remove what killed tasks left half-written."""
    for table in (EMBEDDINGS, FAILURES):
        output.clean(table.partition(*pair))
    output.clean(output.beside(RANGES, pair))
    EMBED.receipts(output).clean(pair)


# -- running -------------------------------------------------------------------------------------


def _embed(
    session: Session,
    output: Output,
    items: Sequence[ShardItem],
    images: Mapping[Pair, ImageJob],
    imports: Mapping[Pair, ImportJob],
) -> None:
    """Embed the shards, show where the seconds went, and name the shard that Spark gave up."""
    start = time.perf_counter()
    pa.default_memory_pool().release_unused()  # planning is over, and the JVM needs memory too
    if not items:
        return
    receipts, done = EMBED.receipts(output), []
    # Images come first: Python workers of an earlier job would be used again, all of them in turn,
    # and every one would hold the network on the GPU.
    with attempts.named(output):
        if shards_of_images := [item for item in items if item.pair in images]:
            slots = gpus.slots(session.sparkContext)
            task = EmbedImages(_with_contents(output, images))
            done += run_items(
                session, receipts, shards_of_images, task, "images", slots.spread, slots.at_once
            )
        files = [item for item in items if item.pair in imports]
        done += run_items(session, receipts, files, ImportFiles(imports), "images")
    for pair in sorted({item.pair for item in items}):
        _clean(output, pair)
    print(breakdown(done, time.perf_counter() - start), file=sys.stderr)


def _with_contents(output: Output, images: Mapping[Pair, ImageJob]) -> dict[Pair, ImageJob]:
    """The jobs of all pairs, which know where to look for features that the output holds."""
    of_network: dict[str, list[Pair]] = {}
    for pair in images:
        of_network.setdefault(pair.network, []).append(pair)
    lists: dict[str, str] = {}
    for network, pairs in of_network.items():
        held = pa.concat_tables([shards.held_contents(output, pair) for pair in pairs])
        prefix = shards.name_prefix(images[pairs[0]].spec.fingerprint)
        lists[network] = contents.write(output, network, held.unify_dictionaries(), prefix)
    return {pair: replace(job, contents=lists[pair.network]) for pair, job in images.items()}


def closing(context: Context) -> str:
    """What the terminal shows when embeddings of several kinds of processors are mixed."""
    return "\n".join(processors.mixtures(processors.of_pairs(context.output, context.pairs)))


def breakdown(done: Sequence[Receipt], seconds: float) -> str:
    """Where the seconds of the tasks went, added up, in one line.

    The network computes or waits, for images or for a writer that lags behind; threads beside it
    read, decode and write.
    """
    spent: Counter[str] = Counter()
    for receipt in done:
        spent.update(receipt.seconds)
    n_images = sum(receipt.counts["computed"] for receipt in done)
    parts = ", ".join(f"{name} {spent[name]:.1f} s" for name in _ACTIVITIES if name in spent)
    rate = f"{n_images} images in {seconds:.1f} s, {n_images / seconds:.1f}/s"
    reused = sum(receipt.counts["reused"] for receipt in done)
    more = f", {reused} more with features of equal images" if reused else ""
    return f"{EMBED.name}: {rate}{more}; in tasks: {parts}"


_ACTIVITIES: Final = ("load", "compute", "wait", "reuse", "read", "decode", "write", "copy")


def _refuse_failures(output: Output, config: Config, pairs: Sequence[Pair]) -> None:
    """Hold the share of failed images of each pair against ``embed.max_failures``."""
    limit = config.embed.max_failures
    for pair in pairs:
        receipts = EMBED.receipts(output).of(pair)
        failed, images = total(receipts, "failed"), total(receipts, "images")
        if failed / images > limit:
            raise TooManyFailuresError(
                f"dataset {pair.dataset}: {failed} of {images} images failed by network "
                f"{pair.network}, embed.max_failures allows {limit:.1%}; "
                f"the table failures says why"
            )

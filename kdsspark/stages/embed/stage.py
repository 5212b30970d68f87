"""Stage ``embed``: images, or ready-made embeddings, to one row of lists an image (driver).

The driver decides what each shard must hold; a task fetches, decodes and embeds the rows its
shard lacks and writes the shard's two files. Nothing heavy passes through the JVM.

Shards are named by the network's fingerprint and by what they were made of, so rows of another
network are never taken for this one's. A shard's receipt says ``<digest>-<attempt>``: the digest
of what the shard must hold (:mod:`.sharding`), and which planning of it this was. What is
measured from it is so measured again whenever the shard was made again, though it must hold the
same: images that failed may have been embedded since.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import pyarrow as pa
from pyspark.sql import SparkSession

from kdsspark.config import Dataset, Embed
from kdsspark.datasets import readymade
from kdsspark.engine import gpus as placement
from kdsspark.engine import work as units
from kdsspark.engine.work import Outcome, Unit
from kdsspark.errors import DatasetError
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet, receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages import index
from kdsspark.stages.embed import attempts, sharding, shards
from kdsspark.stages.embed import ranges as shard_ranges
from kdsspark.stages.embed.import_task import ImportJob, import_file
from kdsspark.stages.embed.shard_task import ImageJob, embed_shard
from kdsspark.stages.embed.sharding import Assigned
from kdsspark.stages.embed.shards import Held, Shard
from kdsspark.tables import EMBEDDINGS, FAILURES


def run(session: SparkSession, store: Store, work: Sequence[Unit]) -> list[Receipt]:
    """Embed whatever the plans of :func:`plan_images` and :func:`plan_imports` lack.

    Says where the seconds went, and which shard it was that Spark gave up.
    """
    start = time.perf_counter()
    pa.default_memory_pool().release_unused()  # planning is over, and the JVM wants memory, too
    stale = {unit.name for unit in work if unit.work[1].plan}
    images = [u for u in work if u.name in stale and u.work[0].func is embed_shard]
    others = [u for u in work if u.name not in stale or u.work[0].func is not embed_shard]
    # Images come first: Python workers of an earlier job would be used again, all of them in turn,
    # and every one would hold the network on the GPU.
    with attempts.named(store):
        done = [
            *(_run_images(session, store, images) if images else []),
            *units.run(session, store, receipts.EMBED, others, _call, "images"),
        ]
    if stale:
        for pair in sorted({name.rpartition("/")[0] for name in stale}):
            _clean(store, *pair.split("/"))
        fresh = [receipt for receipt in done if receipt.unit in stale]
        print(breakdown(fresh, time.perf_counter() - start), file=sys.stderr)
    return done


def _run_images(session: SparkSession, store: Store, images: Sequence[Unit]) -> list[Receipt]:
    gpus = placement.slots(session.sparkContext)
    # A task knows the whole network; in every unit that would be 2 KB, times the shards.
    tasks = {_pair_of(unit): unit.work[0] for unit in images}
    light = [replace(unit, work=(_pair_of(unit), unit.work[1])) for unit in images]
    call = partial(_call_on_gpu, tasks)
    return units.run(
        session, store, receipts.EMBED, light, call, "images", gpus.spread, gpus.at_once
    )


def _pair_of(unit: Unit) -> str:
    return unit.name.rpartition("/")[0]


def _call_on_gpu(
    tasks: Mapping[str, Callable[[Shard], Outcome]], work: tuple[str, Shard]
) -> Outcome:
    pair, shard = work
    try:
        return tasks[pair](shard)
    finally:
        placement.release()


def breakdown(done: Sequence[Receipt], seconds: float) -> str:
    """Where the seconds of some shards went, those of all tasks added up; in one line.

    The network computes or waits, for images or for a writer that lags behind; threads beside it
    read, decode and write.
    """
    spent: Counter[str] = Counter()
    for receipt in done:
        spent.update(receipt.seconds)
    n_images = sum(receipt.counts["computed"] for receipt in done)
    parts = ", ".join(f"{name} {spent[name]:.1f} s" for name in _ACTIVITIES if name in spent)
    rate = f"{n_images} images in {seconds:.1f} s, {n_images / seconds:.1f}/s"
    return f"embed: {rate}; in tasks: {parts}"


_ACTIVITIES: Final = ("load", "compute", "wait", "read", "decode", "write", "copy")


def plan_images(
    store: Store, datasets: Sequence[Dataset], spec: NetworkSpec, weights: str, settings: Embed
) -> list[Unit]:
    """Every image dataset by one network; ``weights`` is a file of the store."""
    work, key = [], spec.fingerprint
    for dataset in datasets:
        job = ImageJob(store, spec.name, dataset.name, spec, weights, settings)
        held, rows = _held(store, spec.name, dataset, shards.name_prefix(key))
        places = shards.places(index.image_ids(store, dataset.name), rows)
        del rows  # of ten million images, gigabytes together with what is wanted
        wanted = _indexed(store, dataset)
        size = sharding.shard_size(len(wanted), settings.shard_images)
        assigned = sharding.assign(wanted, places, size, key)
        del wanted
        work += _units(store, spec.name, dataset, assigned, held, partial(embed_shard, job))
    return work


def plan_imports(store: Store, sources: Sequence[readymade.Source]) -> list[Unit]:
    """Ready-made embeddings, filed in the same table so that all that follows is the same."""
    work = []
    for source in sources:
        dataset = source.dataset
        task = partial(import_file, ImportJob(store, source))
        held = _held(store, dataset.network, dataset, shards.FILE_PREFIX)[0]
        assigned = sharding.assign_files(_indexed(store, dataset))
        work += _units(store, dataset.network, dataset, assigned, held, task)
    return work


def forget_failures(store: Store, network: str, datasets: Sequence[Dataset]) -> None:
    """Take failed images for images not tried yet; the plans made next have them tried again."""
    for dataset in datasets:
        folder = FAILURES.partition(network, dataset.name)
        for path in store.files(folder):
            if path != _no_failures(folder):
                store.remove(path)


def _call(work: tuple[Callable[[Shard], Outcome], Shard]) -> Outcome:
    task, shard = work
    return task(shard)


def _indexed(store: Store, dataset: Dataset) -> pa.Table:
    images = index.images(store, dataset.name)
    if not len(images):
        raise DatasetError(f"dataset {dataset.name}: is not indexed, run the index stage first")
    return images


def _held(store: Store, network: str, dataset: Dataset, prefix: str) -> tuple[Held, pa.Table]:
    """What finished shards named so hold, and their rows; all others are removed.

    Those without a receipt are unfinished work, and those with another prefix hold another
    network's rows.
    """
    _clean(store, network, dataset.name)
    held, rows = shards.held(store, network, dataset.name, prefix)
    _remove(store, network, dataset, held.others)
    return held, rows


def _remove(store: Store, network: str, dataset: Dataset, names: Collection[str]) -> None:
    """Take shards out of the tables; first the receipts, so that none speaks of lost files."""
    for name in names:
        receipts.remove(store, receipts.EMBED, f"{network}/{dataset.name}/{name}")
    for table in (EMBEDDINGS, FAILURES) if names else ():
        for path in store.files(table.partition(network, dataset.name)):
            if shards.shard_name(path) in names:
                store.remove(path)
                if table is EMBEDDINGS:
                    store.remove(shard_ranges.path_of(path))


def _clean(store: Store, network: str, dataset: str) -> None:
    """Remove what killed tasks left half-written."""
    embeddings = EMBEDDINGS.partition(network, dataset)
    receipts_of_shards = f"_receipts/{receipts.EMBED}/{network}/{dataset}"
    ranges = shard_ranges.path_of(embeddings)
    for folder in (embeddings, FAILURES.partition(network, dataset), ranges, receipts_of_shards):
        store.clean(folder)


def _units(
    store: Store,
    network: str,
    dataset: Dataset,
    assigned: Assigned,
    held: Held,
    task: Callable[[Shard], Outcome],
) -> list[Unit]:
    """All shards as units; plans are written for those that are not up to date."""
    every: list[Shard] = []

    def stale() -> Iterator[tuple[Shard, pa.Table]]:
        for shard, rows in sharding.split(assigned):
            every.append(shard)
            if not held.is_current(shard):
                yield shard, rows

    folder = f"{attempts.PLANS}/{network}/{dataset.name}"
    planned = {shard.name: shard for shard in shards.write_plan(store, folder, stale())}
    _remove(store, network, dataset, held.finished.keys() - {shard.name for shard in every})
    # A dataset without failures has a part too, so that every table can be read.
    none = _no_failures(FAILURES.partition(network, dataset.name))
    if not store.exists(none):
        parquet.write(store, none, FAILURES.schema.empty_table(), FAILURES.schema)
    attempt = uuid.uuid4().hex[:8]
    return [
        Unit(
            f"{network}/{dataset.name}/{shard.name}",
            f"{shard.digest}-{attempt}"
            if shard.name in planned
            else held.finished[shard.name].digest,
            (task, planned.get(shard.name, shard)),
            shard.n_images,
        )
        for shard in every
    ]


def _no_failures(folder: str) -> str:
    return f"{folder}/none.parquet"

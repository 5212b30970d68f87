"""Stage ``embed``: images, or ready-made embeddings, to one row of lists an image (driver).

The driver decides what each shard must hold; a task fetches, decodes and embeds the rows its
shard lacks and writes the shard's two files. Nothing heavy passes through the JVM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.config import Dataset, Embed
from kdsspark.errors import DatasetError
from kdsspark.network.spec import NetworkSpec
from kdsspark.spark import units
from kdsspark.spark.embed_images import ImageJob, embed_shard
from kdsspark.spark.import_embeddings import ImportJob, import_file
from kdsspark.spark.units import Outcome, Unit
from kdsspark.storage import parquet, readymade, receipts, shards
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt
from kdsspark.storage.shards import Shard
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES


def run(session: SparkSession, store: Store, work: Sequence[Unit]) -> list[Receipt]:
    """Embed whatever the plans of :func:`plan_images` and :func:`plan_imports` lack."""
    return units.run(session, store, receipts.EMBED, work, _call, "images")


def plan_images(
    store: Store, datasets: Sequence[Dataset], spec: NetworkSpec, weights: str, settings: Embed
) -> list[Unit]:
    """Every image dataset by one network; ``weights`` is a file of the store."""
    work = []
    for dataset in datasets:
        job = ImageJob(store, spec.name, dataset.name, spec, weights, settings)
        wanted = _indexed(store, dataset)
        held, finished = _finished(store, spec.name, dataset)
        size = shards.shard_size(len(wanted), settings.shard_images)
        assigned = shards.assign(wanted, held, size)
        work += _units(store, spec.name, dataset, assigned, finished, partial(embed_shard, job))
    return work


def plan_imports(store: Store, sources: Sequence[readymade.Source], settings: Embed) -> list[Unit]:
    """Ready-made embeddings, filed in the same table so that all that follows is the same."""
    work = []
    for source in sources:
        dataset = source.dataset
        job = ImportJob(store, source, settings.shard_images)
        _, finished = _finished(store, dataset.network, dataset)
        assigned = shards.assign_files(_indexed(store, dataset))
        task = partial(import_file, job)
        work += _units(store, dataset.network, dataset, assigned, finished, task)
    return work


def _call(work: tuple[Callable[[Shard], Outcome], Shard]) -> Outcome:
    task, shard = work
    return task(shard)


def _indexed(store: Store, dataset: Dataset) -> pa.Table:
    images = parquet.read(store, IMAGES, dataset.name, columns=IMAGES.schema.names)
    if not len(images):
        raise DatasetError(f"dataset {dataset.name}: is not indexed, run the index stage first")
    return images


def _finished(store: Store, network: str, dataset: Dataset) -> tuple[pa.Table, dict[str, Receipt]]:
    """The rows that finished shards hold, and those shards' receipts by name.

    Whatever else is found, files as well as receipts, is unfinished work and is removed.
    """
    prefix = f"{network}/{dataset.name}"
    found = receipts.read(store, receipts.EMBED, prefix)
    committed = {unit.rpartition("/")[2]: receipt for unit, receipt in found.items()}
    held = shards.held_rows(store, network, dataset.name)
    finished = shards.complete(held, committed)
    _remove(store, network, dataset, (set(committed) | _on_disk(held)) - set(finished))
    held = held.filter(pc.is_in(held["shard"], pa.array(list(finished), pa.string())))
    return held, finished


def _on_disk(held: pa.Table) -> set[str]:
    return set(pc.unique(held["shard"]).to_pylist())


def _remove(store: Store, network: str, dataset: Dataset, names: set[str]) -> None:
    """Take shards out of the tables; first the receipts, so that none speaks of lost files."""
    for name in names:
        receipts.remove(store, receipts.EMBED, f"{network}/{dataset.name}/{name}")
    for table in (EMBEDDINGS, FAILURES):
        folder = table.partition(network, dataset.name)
        store.clean(folder)
        for path in store.files(folder):
            if shards.shard_name(path) in names:
                store.remove(path)


def _units(
    store: Store,
    network: str,
    dataset: Dataset,
    assigned: pa.Table,
    finished: dict[str, Receipt],
    task: Callable[[Shard], Outcome],
) -> list[Unit]:
    """All shards as units; plans are written for those that are not up to date."""
    split = list(shards.split(assigned))
    every = {shard.name: shard for shard, _ in split}
    _remove(store, network, dataset, set(finished) - set(every))
    # A dataset without failures has a part too, so that every table can be read.
    none = f"{FAILURES.partition(network, dataset.name)}/none.parquet"
    if not store.exists(none):
        parquet.write(store, none, FAILURES.schema.empty_table(), FAILURES.schema)
    stale = (
        (shard, rows)
        for shard, rows in split
        if shard.name not in finished or finished[shard.name].digest != shard.digest
    )
    folder = f"_plans/{receipts.EMBED}/{network}/{dataset.name}"
    planned = {s.name: s for s in shards.write_plan(store, folder, stale, set(finished))}
    return [
        Unit(
            f"{network}/{dataset.name}/{name}",
            shard.digest,
            (task, planned.get(name, shard)),
            shard.n_images,
        )
        for name, shard in every.items()
    ]

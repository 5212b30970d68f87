"""Stage ``measure``: histograms and distances of every feature for every class (driver).

A unit is one layer of one dataset, or a slice of its units where the memory budget asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.config import Measure, fingerprint
from kdsspark.errors import DatasetError
from kdsspark.spark import units
from kdsspark.spark.measure_slice import PARTS, LayerSlice, MeasureJob, measure_slice
from kdsspark.spark.units import Unit
from kdsspark.storage import parquet, receipts
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt
from kdsspark.tables import EMBEDDINGS, FEATURES, HISTOGRAMS, IMAGES


def measure(
    session: SparkSession, store: Store, pairs: Sequence[tuple[str, str]], settings: Measure
) -> list[Receipt]:
    """Measure every (network, dataset); raises :class:`DatasetError` where nothing is embedded."""
    work = [unit for network, dataset in pairs for unit in _plan(store, network, dataset, settings)]
    return units.run(session, store, receipts.MEASURE, work, measure_slice, "features")


def _plan(store: Store, network: str, dataset: str, settings: Measure) -> list[Unit]:
    job = _job(store, network, dataset, settings)
    inputs = fingerprint(
        {
            "shards": sorted((r.unit, r.digest) for r in _shards(store, network, dataset)),
            "classes": job.n_classes,
            "settings": settings.model_dump(exclude={"memory"}),
        }
    )
    slices = [
        LayerSlice(layer, depth, start, stop, width)
        for depth, (layer, width) in enumerate(layer_widths(store, network).items())
        for start, stop in slices_of(width, bytes_of_a_unit(job), settings.memory_bytes)
    ]
    work = [
        Unit(f"{network}/{dataset}/{s.name}", inputs, (job, s), s.stop - s.start) for s in slices
    ]
    _prune(store, network, dataset, {s.name for s in slices}, settings)
    return work


def _job(store: Store, network: str, dataset: str, settings: Measure) -> MeasureJob:
    parts = store.files(EMBEDDINGS.partition(network, dataset))
    if not parts:
        raise DatasetError(
            f"dataset {dataset}: has no embeddings by network {network}, run the embed stage first"
        )
    n_images = sum(r.counts["embedded"] for r in _shards(store, network, dataset))
    classes = parquet.read(store, IMAGES, dataset, columns=["class_id"])["class_id"]
    n_classes = pc.max(classes).as_py() + 1
    return MeasureJob(store, network, dataset, tuple(parts), n_images, n_classes, settings)


def _shards(store: Store, network: str, dataset: str) -> list[Receipt]:
    return list(receipts.read(store, receipts.EMBED, f"{network}/{dataset}").values())


def layer_widths(store: Store, network: str) -> dict[str, int]:
    """Layer -> number of units, in the order of the embedding."""
    features = parquet.read(store, FEATURES, network, columns=["layer", "depth"])
    counts = features.group_by(["layer", "depth"]).aggregate([([], "count_all")])
    ordered = counts.sort_by("depth")
    return dict(zip(ordered["layer"].to_pylist(), ordered["count_all"].to_pylist(), strict=True))


def bytes_of_a_unit(job: MeasureJob) -> int:
    """Memory that one unit of a slice takes in a task: its values, as float64 at worst, twice.

    Counts and distances are made for a few units at a time and hardly matter.
    """
    return 2 * 8 * job.n_images


def slices_of(width: int, bytes_of_one: int, memory: int) -> list[tuple[int, int]]:
    """Cut ``width`` units into as few equal slices as keep each below ``memory`` bytes."""
    most = max(1, memory // bytes_of_one)
    n_slices = -(-width // most)
    edges = [width * i // n_slices for i in range(n_slices + 1)]
    return list(pairwise(edges))


def _prune(store: Store, network: str, dataset: str, wanted: set[str], settings: Measure) -> None:
    """Remove the parts of slices that are no longer cut so, before new ones appear beside them."""
    found = receipts.read(store, receipts.MEASURE, f"{network}/{dataset}")
    for unit in found:
        if unit.rpartition("/")[2] not in wanted:
            receipts.remove(store, receipts.MEASURE, unit)
    for table, labels in PARTS:
        folder = table.partition(network, dataset, *labels)
        keep = wanted if settings.histograms or table is not HISTOGRAMS else set()
        store.clean(folder)
        for path in store.files(folder):
            if path.rsplit("/", 1)[-1].removesuffix(".parquet") not in keep:
                store.remove(path)

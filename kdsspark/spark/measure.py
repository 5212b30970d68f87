"""Stage ``measure``: histograms and distances of every feature for every class (driver).

A unit is one layer of one dataset, or a slice of its units where the memory budget asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import pyarrow as pa
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
from kdsspark.tables import EMBEDDINGS, FAILURES, FEATURES, HISTOGRAMS, IMAGES

_FORMAT: Final = 1  # of what a slice writes; another number makes every output measure again


def measure(
    session: SparkSession, store: Store, pairs: Sequence[tuple[str, str]], settings: Measure
) -> list[Receipt]:
    """Measure every (network, dataset); :class:`DatasetError` where embeddings are not current."""
    work = []
    for network, dataset in pairs:
        _require_current(store, network, dataset)
        planned = plan(store, network, dataset, settings)
        _prune(store, network, dataset, {u.name.rpartition("/")[2] for u in planned}, settings)
        work += planned
    return units.run(session, store, receipts.MEASURE, work, measure_slice, "features")


def plan(store: Store, network: str, dataset: str, settings: Measure) -> list[Unit]:
    """The slices that make up a measured dataset, whether they are done or not."""
    shards = list(receipts.read(store, receipts.EMBED, f"{network}/{dataset}").values())
    n_images = sum(shard.counts["embedded"] for shard in shards)
    job = _job(store, network, dataset, n_images, settings)
    inputs = fingerprint(
        {
            "format": _FORMAT,
            "shards": sorted((shard.unit, shard.digest) for shard in shards),
            "classes": job.n_classes,
            "settings": settings.model_dump(exclude={"memory"}),
        }
    )
    slices = [
        LayerSlice(layer, depth, start, stop, width)
        for depth, (layer, width) in enumerate(layer_widths(store, network).items())
        for start, stop in slices_of(width, bytes_of_a_unit(job), settings.memory_bytes)
    ]
    return [
        Unit(f"{network}/{dataset}/{s.name}", inputs, (job, s), s.stop - s.start) for s in slices
    ]


def _require_current(store: Store, network: str, dataset: str) -> None:
    """Every indexed image must be embedded or failed, at its present version and class."""
    key = ["image_id", "version", "class_id", "class_name"]
    indexed = parquet.read(store, IMAGES, dataset, columns=key)
    held = pa.concat_tables(
        [
            parquet.read(store, table, network, dataset, columns=key)
            for table in (EMBEDDINGS, FAILURES)
        ]
    )
    current = len(indexed.join(held, keys=key, join_type="left semi"))
    if not current or not current == len(indexed) == len(held):
        raise DatasetError(
            f"dataset {dataset}: all {len(indexed)} images must be embedded as they are indexed, "
            f"got {current} by network {network}; run the embed stage first"
        )


def _job(store: Store, network: str, dataset: str, n_images: int, settings: Measure) -> MeasureJob:
    parts = store.files(EMBEDDINGS.partition(network, dataset))
    classes = parquet.read(store, IMAGES, dataset, columns=["class_id"])["class_id"]
    n_classes = pc.max(classes).as_py() + 1
    return MeasureJob(store, network, dataset, tuple(parts), n_images, n_classes, settings)


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

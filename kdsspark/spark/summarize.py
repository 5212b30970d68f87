"""Stage ``summarize``: from distances to thresholds, curves and layers (driver).

A unit is one dataset by one network: everything it writes is one number short of a sum over the
dataset's layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.config import fingerprint
from kdsspark.errors import DatasetError
from kdsspark.spark import units
from kdsspark.spark.summarize_dataset import SummaryJob, summarize_dataset
from kdsspark.spark.units import Unit
from kdsspark.storage import parquet, receipts
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt
from kdsspark.tables import EMBEDDINGS, FEATURES


def summarize(
    session: SparkSession, store: Store, pairs: Sequence[tuple[str, str]]
) -> list[Receipt]:
    """Summarize every (network, dataset); :class:`DatasetError` where one is not measured."""
    work = [_plan(store, network, dataset) for network, dataset in pairs]
    return units.run(session, store, receipts.SUMMARIZE, work, summarize_dataset, "datasets")


def _plan(store: Store, network: str, dataset: str) -> Unit:
    name = f"{network}/{dataset}"
    measured = receipts.read(store, receipts.MEASURE, name)
    if not measured:
        raise DatasetError(
            f"dataset {dataset}: is not measured by network {network}, run the measure stage first"
        )
    classes = parquet.read(store, EMBEDDINGS, network, dataset, columns=["class_id"])["class_id"]
    job = SummaryJob(
        store,
        network,
        dataset,
        tuple(sorted(unit.rpartition("/")[2] for unit in measured)),
        _kinds(store, network),
        n_images=len(classes),
        n_classes=pc.count_distinct(classes).as_py(),
        shuffles=next(iter(measured.values())).counts["shuffles"],
    )
    inputs = fingerprint(sorted((r.unit, r.digest) for r in measured.values()))
    return Unit(name, inputs, job)


def _kinds(store: Store, network: str) -> dict[str, str]:
    """Layer -> conv, fc or other."""
    features = parquet.read(store, FEATURES, network, columns=["layer", "kind"])
    pairs = features.group_by(["layer", "kind"]).aggregate([])
    return dict(zip(pairs["layer"].to_pylist(), pairs["kind"].to_pylist(), strict=True))

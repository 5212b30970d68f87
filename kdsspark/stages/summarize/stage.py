"""Stage ``summarize``: from distances to thresholds, curves and layers (driver).

A unit is one dataset by one network: everything it writes is one number short of a sum over the
dataset's layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyspark.sql import SparkSession

from kdsspark.config import Measure
from kdsspark.engine import work as units
from kdsspark.engine.work import Unit
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet, receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.summarize.dataset_task import SummaryJob, summarize_dataset
from kdsspark.tables import FEATURES, KS

_FORMAT: Final = 2  # of what is written; another number makes every output summarize again
_NOT_MEASURED: Final = (
    "is not measured by network {} with these settings, run the measure stage first"
)


def summarize(
    session: SparkSession, store: Store, pairs: Sequence[tuple[str, str]], settings: Measure
) -> list[Receipt]:
    """Summarize every (network, dataset); :class:`DatasetError` where one is not measured."""
    work = [plan(store, pair, settings) for pair in pairs]
    return units.run(session, store, receipts.SUMMARIZE, work, summarize_dataset, "datasets")


def plan(store: Store, pair: tuple[str, str], settings: Measure) -> Unit:
    """The unit of a dataset, whether it is done or not; raises like :func:`summarize`."""
    network, dataset = pair
    name = f"{network}/{dataset}"
    if not store.files(KS.partition(network, dataset)):
        raise DatasetError(f"dataset {dataset}: {_NOT_MEASURED.format(network)}")
    measured = receipts.read(store, receipts.MEASURE, name)
    planned = measure.plan(store, pair, settings)
    if planned.digests != {unit: receipt.digest for unit, receipt in measured.items()}:
        raise DatasetError(f"dataset {dataset}: {_NOT_MEASURED.format(network)}")
    job = SummaryJob(
        store,
        network,
        dataset,
        planned.slices,
        _kinds(store, network),
        n_images=planned.shape.n_images,
        classes=planned.shape.n_classes,
        shuffles=settings.shuffles,
        keep_shuffled=settings.keep_shuffled,
    )
    return Unit(name, fingerprint([_FORMAT, sorted(planned.digests.items())]), job)


def _kinds(store: Store, network: str) -> dict[str, str]:
    """Layer -> conv, fc or other."""
    features = parquet.read(store, FEATURES, network, columns=["layer", "kind"])
    pairs = features.group_by(["layer", "kind"]).aggregate([])
    return dict(zip(pairs["layer"].to_pylist(), pairs["kind"].to_pylist(), strict=True))

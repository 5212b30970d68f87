"""Stage ``summarize``: from distances to thresholds, curves and layers (driver).

A work item is one pair, because everything it writes follows from sums over all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kdsspark.config import Config
from kdsspark.engine.stage import Context, ItemPlan
from kdsspark.engine.work import run_items
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import MEASURE, SUMMARIZE
from kdsspark.stages.embed import complete
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.summarize.dataset_task import SummaryItem, summarize_dataset
from kdsspark.tables import FEATURES, KS

_FORMAT: Final = 3  # of the files written; if it changes, every output is summarized again


@dataclass(frozen=True)
class SummarizePlan(ItemPlan):
    """How one dataset by one network is summarized."""

    item: SummaryItem


def run(context: Context) -> None:
    """Summarize every pair; raises :class:`DatasetError` if one is not measured."""
    output = context.output
    pairs = complete.working_pairs(context)
    items = [plan(output, context.config, pair).item for pair in pairs]
    run_items(
        context.session, SUMMARIZE.receipts(output), items, summarize_dataset, SUMMARIZE.counted
    )


def plan(output: Output, config: Config, pair: Pair) -> SummarizePlan:
    """How a dataset is summarized, done or not; raises like :func:`run`."""
    settings = config.measure
    measured = MEASURE.receipts(output).of(pair) if output.files(KS.partition(*pair)) else {}
    planned = measure.plan(output, config, pair)
    if planned.digests != {name: receipt.digest for name, receipt in measured.items()}:
        raise DatasetError(
            f"dataset {pair.dataset}: is not measured by network {pair.network} with these "
            f"settings, run the measure stage first"
        )
    item = SummaryItem(
        name=pair.name,
        digest=fingerprint([_FORMAT, sorted(planned.digests.items())]),
        output=output,
        pair=pair,
        layers=planned.slices,
        kinds=_kinds(output, pair.network),
        n_images=planned.shape.n_images,
        classes=planned.shape.n_classes,
        shuffles=settings.shuffles,
        keep_shuffled=settings.keep_shuffled,
        several=config.several(pair.dataset),
    )
    return SummarizePlan(SUMMARIZE.name, {item.name: item.digest}, item)


def _kinds(output: Output, network: str) -> dict[str, str]:
    """Layer -> conv, fc or other."""
    features = parquet.read(output, FEATURES, network, columns=["layer", "kind"])
    pairs = features.group_by(["layer", "kind"]).aggregate([])
    return dict(zip(pairs["layer"].to_pylist(), pairs["kind"].to_pylist(), strict=True))

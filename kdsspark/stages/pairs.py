"""Stages whose work items are parts of single pairs: their plans, and how they run (driver)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kdsspark import pixels
from kdsspark.config import Config
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context, ItemPlan, Stage, prune
from kdsspark.engine.work import run_items
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EMBED
from kdsspark.stages.embed import complete
from kdsspark.stages.embed.networks import layer_widths
from kdsspark.tables import EMBEDDINGS


@dataclass(frozen=True)
class PairPlan(ItemPlan):
    """What is to do for one pair: each item writes one file of each table of its stage."""

    items: tuple[WorkItem, ...]

    @staticmethod
    def of(stage: Stage, items: Sequence[WorkItem]) -> PairPlan:
        """The plan of these items."""
        return PairPlan(stage.name, {item.name: item.digest for item in items}, tuple(items))


class Planner(Protocol):
    """The function ``plan`` of a stage."""

    def __call__(self, output: Output, config: Config, pair: Pair, /) -> PairPlan:
        """What is to do for a pair."""


def run(
    context: Context,
    stage: Stage,
    plan: Planner,
    task: Callable[[Any], Outcome],
    cost: Callable[[Any], int],
) -> None:
    """Do what is not done of every pair, the most costly items first; raises what ``plan`` raises.

    Files that no item writes any more are removed. Datasets that the stage cannot take, because
    their images may have several labels, are left out with a line each.
    """
    items = planned(context, stage, plan)
    items.sort(key=lambda item: -cost(item))  # so that cores finish together
    run_items(context.session, stage.receipts(context.output), items, task, stage.counted)


def planned(context: Context, stage: Stage, plan: Planner) -> list[WorkItem]:
    """The items of every pair; raises what ``plan`` raises.

    Files that no item writes any more are removed.
    """
    output, receipts = context.output, stage.receipts(context.output)
    items: list[WorkItem] = []
    for pair in _with_labels_of_the_stage(context, stage):
        found = plan(output, context.config, pair).items
        parts = [item.name.part for item in found]
        folders = {table.partition(*pair): parts for table in stage.tables}
        prune(output, receipts, pair, [item.name for item in found], folders)
        items += found
    return items


def _with_labels_of_the_stage(context: Context, stage: Stage) -> list[Pair]:
    """The pairs to work on; says which datasets are left out."""
    found = complete.working_pairs(context)
    left_out = {p.dataset for p in found if stage.one_label and context.config.several(p.dataset)}
    for dataset in sorted(left_out):
        print(
            f"dataset {dataset}: left out, {stage.name} needs one label an image", file=sys.stderr
        )
    return [pair for pair in found if pair.dataset not in left_out]


def goes_through_a_network(config: Config, pair: Pair) -> bool:
    """Whether a pair has images and a network: neither ready-made embeddings nor pixels."""
    architectures = {network.name: network.architecture for network in config.networks}
    architecture = architectures.get(pair.network, pixels.ARCHITECTURE)
    return architecture != pixels.ARCHITECTURE


@dataclass(frozen=True)
class Embedded:
    """The embeddings of one pair, as they are now."""

    pair: Pair
    widths: Mapping[str, int]  # layer -> features, in the order of the network
    parts: tuple[str, ...]  # files of ``embeddings``
    n_images: int
    digest: str  # of the contents


def embedded(output: Output, pair: Pair) -> Embedded:
    """The embeddings of a pair; raises :class:`DatasetError` where they are not complete."""
    found = EMBED.receipts(output).of(pair)
    shards = {name: receipt for name, receipt in sorted(found.items())}
    full = {name: receipt for name, receipt in shards.items() if receipt.counts["embedded"]}
    if not full or not complete.is_current(output, pair):
        raise DatasetError(
            f"dataset {pair.dataset}: is not embedded by {pair.network}, run the embed stage first"
        )
    return Embedded(
        pair,
        layer_widths(output, pair.network),
        tuple(EMBEDDINGS.part(name.part, *pair) for name in full),
        sum(receipt.counts["embedded"] for receipt in full.values()),
        fingerprint({name: receipt.digest for name, receipt in shards.items()}),
    )

"""Stage ``transform``: the full-network embedding and the pruned one (driver).

The paper's conclusion leads to Garcia-Gasulla et al. (2017b). They standardise every feature over a
dataset and map it to -1, 0 and +1 by two thresholds: those of the distances (paper equation 4),
applied to standardised values. ``pruned`` keeps the features whose distance is beyond a threshold
for some class.

One work item describes the features of a pair. Each shard of its embeddings is one more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kdsspark.config import Config
from kdsspark.engine.stage import Context, ItemPlan, prune
from kdsspark.engine.work import Session, run_items
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, TRANSFORM
from kdsspark.stages.embed import complete
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.measure.stage import MeasurePlan
from kdsspark.stages.summarize import stage as summarize
from kdsspark.stages.transform import features
from kdsspark.stages.transform.features import DescribeFeatures, Limits, describe_features
from kdsspark.stages.transform.shard_task import TransformShard, transform_shard
from kdsspark.tables import FULL_NETWORK, PRUNED, THRESHOLDS

_FEATURES: Final = "transform_features"
"""The receipts of the description of a pair's features."""

_FORMAT: Final = 1  # of the files written; if it changes, every output is transformed again


@dataclass(frozen=True)
class TransformPlan(ItemPlan):
    """How one dataset by one network is transformed."""

    pair: Pair
    source: MeasurePlan  # of the statistics dataset
    of_values: Limits  # for standardised values
    of_ks: Limits  # for distances
    digest: str  # of the description of the features
    embedded: Mapping[str, Receipt]  # shard -> the receipt of its embeddings

    def described(self, output: Output) -> bool:
        """Whether the features are described."""
        return output.receipts(_FEATURES).finished({self.pair.name: self.digest})

    def finished(self, output: Output) -> bool:
        """Whether there is nothing to do."""
        return self.described(output) and super().finished(output)


def run(context: Context) -> None:
    """Transform every pair.

    Raises :class:`DatasetError` if a dataset is not embedded, if its statistics dataset is not
    summarized, or if that has no thresholds and the configuration gives none.
    """
    output, receipts = context.output, TRANSFORM.receipts(context.output)
    plans = [plan(output, context.config, pair) for pair in complete.working_pairs(context)]
    todo = [p for p in plans if not p.finished(output)]
    for p in todo:
        parts = list(p.embedded)
        folders = {table.partition(*p.pair): parts for table in (FULL_NETWORK, PRUNED)}
        prune(output, receipts, p.pair, p.digests, folders)
    _describe(context.session, output, [p for p in todo if not p.described(output)])
    items = [item for p in todo for item in _shards(output, p)]
    run_items(context.session, receipts, items, transform_shard, "images")


def plan(output: Output, config: Config, pair: Pair) -> TransformPlan:
    """How a dataset is transformed, done or not; raises like :func:`run`."""
    settings = config.transform
    statistics = Pair(pair.network, settings.statistics or pair.dataset)
    summary = _summary(output, config, statistics)
    own = _own_thresholds(output, statistics)
    given = Limits(
        own.minus if settings.t_minus is None else settings.t_minus,
        own.plus if settings.t_plus is None else settings.t_plus,
    )
    if given.minus is None or given.plus is None:
        raise DatasetError(
            f"dataset {statistics.dataset}: must have thresholds to be transformed with, got none "
            f"by network {pair.network}; give transform.t_plus and transform.t_minus"
        )
    shards = {n.part: r for n, r in EMBED.receipts(output).of(pair).items() if r.counts["embedded"]}
    if not shards:
        raise DatasetError(
            f"dataset {pair.dataset}: is not embedded by {pair.network}, run embed first"
        )
    digest = fingerprint([_FORMAT, statistics.dataset, summary, given.minus, given.plus])
    shards = dict(sorted(shards.items()))
    digests = {pair.item(s): fingerprint([digest, r.digest]) for s, r in shards.items()}
    source = measure.plan(output, config, statistics)
    return TransformPlan(TRANSFORM.name, digests, pair, source, given, own, digest, shards)


def _summary(output: Output, config: Config, pair: Pair) -> str:
    """The digest of a pair's summary; raises :class:`DatasetError` if that is not current."""
    planned = summarize.plan(output, config, pair)
    if not planned.finished(output):
        raise DatasetError(
            f"dataset {pair.dataset}: is not summarized for network {pair.network}, run the "
            f"summarize stage first"
        )
    return planned.item.digest


def _own_thresholds(output: Output, pair: Pair) -> Limits:
    path = THRESHOLDS.part(pair.dataset, pair.network)
    (row,) = parquet.read_file(output, path, ["t_minus", "t_plus"]).to_pylist()
    return Limits(row["t_minus"], row["t_plus"])


def _describe(session: Session, output: Output, plans: Sequence[TransformPlan]) -> None:
    """Describe the features of every pair."""
    parts = {p.source.pair: list(p.source.files) for p in plans}
    found = features.add_up(session, output, parts)
    items = [
        DescribeFeatures(
            name=p.pair.name,
            digest=p.digest,
            output=output,
            pair=p.pair,
            statistics=p.source.pair,
            slices=p.source.slices,
            of_values=p.of_values,
            of_ks=p.of_ks,
            moments=found[p.source.pair],
        )
        for p in plans
    ]
    run_items(session, output.receipts(_FEATURES), items, describe_features, "datasets")


def _shards(output: Output, planned: TransformPlan) -> list[TransformShard]:
    return [
        TransformShard(
            name=name,
            digest=digest,
            size=planned.embedded[name.part].counts["embedded"],
            output=output,
            pair=planned.pair,
            thresholds=planned.of_values,
        )
        for name, digest in planned.digests.items()
    ]

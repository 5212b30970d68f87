"""Stage ``transform``: the full-network embedding and the pruned one (driver).

Garcia-Gasulla et al. (2017b), to which the paper's conclusion leads, standardise every feature
over a dataset and map it to -1, 0 and +1 by two thresholds, for which they take those of the
distances (paper equation 4). Thresholds of distances are thus applied to standardised values.
Which features ``pruned`` keeps is another question, of distances alone.

A unit is one dataset for what is known of its features, and one shard for its images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.sql import SparkSession

from kdsspark.config import Measure, Transform
from kdsspark.engine import work as units
from kdsspark.engine.work import Unit
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet, receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.summarize import stage as summarize
from kdsspark.stages.transform import features as transform_features
from kdsspark.stages.transform.features import FeaturesJob, Thresholds, describe_features
from kdsspark.stages.transform.shard_task import TransformJob, transform_shard
from kdsspark.tables import FULL_NETWORK, PRUNED, THRESHOLDS

FEATURES: Final = "transform_features"
SHARDS: Final = "transform"
"""Stages, as receipts are filed."""

_FORMAT: Final = 1  # of what is written; another number makes every output transform again


@dataclass(frozen=True)
class Plan:
    """How one dataset by one network is transformed."""

    pair: tuple[str, str]  # network, dataset
    source: measure.Plan  # of the statistics dataset
    of_values: Thresholds  # of standardised values
    of_ks: Thresholds
    digest: str  # of what is known of the features
    embedded: Mapping[str, Receipt]  # shard -> of its embeddings

    @property
    def prefix(self) -> str:
        """Of the names of its units."""
        return "/".join(self.pair)

    @property
    def digests(self) -> dict[str, str]:
        """Unit of a shard -> digest: what the receipts say when all is transformed."""
        return {
            f"{self.prefix}/{shard}": fingerprint([self.digest, receipt.digest])
            for shard, receipt in self.embedded.items()
        }

    def finished(self, store: Store) -> bool:
        """Whether there is nothing to do."""
        described = units.finished(store, FEATURES, {self.prefix: self.digest})
        return described and units.finished(store, SHARDS, self.digests)


def transform(
    session: SparkSession,
    store: Store,
    pairs: Sequence[tuple[str, str]],
    settings: Transform,
    measured: Measure,
) -> list[Receipt]:
    """Transform every (network, dataset); returns the receipts of the shards.

    Raises :class:`DatasetError` where a dataset is not embedded, or the one whose statistics are
    applied is not summarized or has no thresholds and none are given.
    """
    plans = [plan(store, pair, settings, measured) for pair in pairs]
    todo = [p for p in plans if not p.finished(store)]
    for p in todo:
        folders = {table.partition(*p.pair): p.embedded for table in (FULL_NETWORK, PRUNED)}
        units.prune(store, SHARDS, p.prefix, p.digests, folders)
    _describe(session, store, todo)
    work = [unit for p in plans for unit in _shards(store, p)]
    return units.run(session, store, SHARDS, work, transform_shard, "images")


def plan(store: Store, pair: tuple[str, str], settings: Transform, measured: Measure) -> Plan:
    """How a dataset is transformed, whether that is done or not; raises like :func:`transform`."""
    network, dataset = pair
    statistics = (network, settings.statistics or dataset)
    digest = _summarized(store, statistics, measured)
    own = _own_thresholds(store, statistics)
    given = Thresholds(
        own.minus if settings.t_minus is None else settings.t_minus,
        own.plus if settings.t_plus is None else settings.t_plus,
    )
    if given.minus is None or given.plus is None:
        raise DatasetError(
            f"dataset {statistics[1]}: must have thresholds to be transformed with, got none by "
            f"network {network}; give transform.t_plus and transform.t_minus"
        )
    shards = receipts.read(store, receipts.EMBED, f"{network}/{dataset}").values()
    embedded = {s.unit.rpartition("/")[2]: s for s in shards if s.counts["embedded"]}
    if not embedded:
        raise DatasetError(f"dataset {dataset}: is not embedded by {network}, run embed first")
    return Plan(
        pair,
        measure.plan(store, statistics, measured),
        given,
        own,
        fingerprint([_FORMAT, statistics[1], digest, given.minus, given.plus]),
        dict(sorted(embedded.items())),
    )


def _summarized(store: Store, pair: tuple[str, str], measured: Measure) -> str:
    """The digest of a dataset's summary; raises :class:`DatasetError` where that is not current."""
    unit = summarize.plan(store, pair, measured)
    if not units.finished(store, receipts.SUMMARIZE, {unit.name: unit.digest}):
        raise DatasetError(
            f"dataset {pair[1]}: is not summarized for network {pair[0]}, run the summarize stage "
            f"first"
        )
    return unit.digest


def _own_thresholds(store: Store, pair: tuple[str, str]) -> Thresholds:
    path = f"{THRESHOLDS.partition(pair[0])}/{pair[1]}.parquet"
    (row,) = parquet.read_file(store, path, ["t_minus", "t_plus"]).to_pylist()
    return Thresholds(row["t_minus"], row["t_plus"])


def _describe(session: SparkSession, store: Store, plans: Sequence[Plan]) -> None:
    """What is known of the features of every plan for which that is not written."""
    todo = [p for p in plans if not units.finished(store, FEATURES, {p.prefix: p.digest})]
    parts = {p.source.pair: list(p.source.parts) for p in todo}
    found = transform_features.add_up(session, store, parts)
    work = [
        Unit(
            p.prefix,
            p.digest,
            (
                FeaturesJob(store, p.pair, p.source.pair[1], p.source.slices, p.of_values, p.of_ks),
                found[p.source.pair],
            ),
        )
        for p in todo
    ]
    units.run(session, store, FEATURES, work, describe_features, "datasets")


def _shards(store: Store, planned: Plan) -> list[Unit]:
    job = TransformJob(store, planned.pair, planned.of_values)
    shards = zip(planned.digests.items(), planned.embedded.items(), strict=True)
    return [
        Unit(unit, digest, (job, shard), receipt.counts["embedded"])
        for (unit, digest), (shard, receipt) in shards
    ]

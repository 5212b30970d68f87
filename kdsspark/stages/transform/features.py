"""Describe every feature for ``transform``: mean, deviation, relevance, place in ``pruned``.

One pass over the embeddings of the statistics dataset adds up the moments. A work item per pair
then counts the distances beyond the thresholds and writes ``transform_features``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.fold import fold
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.work import Session
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.stages.embed.shards import ranges
from kdsspark.stats.moments import Moments, moments
from kdsspark.tables import KS, TRANSFORM_FEATURES, TRANSFORMS

LayerMoments = Mapping[str, Moments]
"""Layer -> moments of its units."""


@dataclass(frozen=True)
class Limits:
    """A lower and an upper threshold; what is strictly below or above them is beyond them."""

    minus: float | None
    plus: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class DescribeFeatures(WorkItem):
    """The features of one pair, to be described, and its thresholds."""

    output: Output
    pair: Pair
    statistics: Pair  # the pair whose moments and distances are used
    slices: Mapping[str, Sequence[str]]  # layer -> its measured slices, in `statistics`
    of_values: Limits  # for standardised values
    of_ks: Limits  # for distances; None if `statistics` has none
    moments: LayerMoments  # of `statistics`


@dataclass(frozen=True, eq=False)
class LayerFeatures:
    """What a shard needs of one layer: mean and std [units], and the units that are kept."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    kept: npt.NDArray[np.int32]


# -- moments -------------------------------------------------------------------------------------


def add_up(
    session: Session, output: Output, parts: Mapping[Pair, Sequence[str]]
) -> dict[Pair, LayerMoments]:
    """The moments of every feature over the files of each pair (driver).

    ``parts`` is pair -> files of ``embeddings``.
    """
    lows = {
        pair: np.nan_to_num(found.lo)
        for pair, found in ranges.merged(session, output, parts).items()
    }
    return fold(session, "moments", parts, partial(_of_file, output, lows), _merge)


def _of_file(
    output: Output, origins: Mapping[Pair, npt.NDArray[np.float64]], pair: Pair, path: str
) -> Iterator[LayerMoments]:
    """The moments of each row group; values are taken relative to an origin [features]."""
    return (_of_rows(rows, origins[pair]) for rows in parquet.row_groups(output, path))


def _of_rows(rows: pa.Table, origin: npt.NDArray[np.float64]) -> LayerMoments:
    """Layer -> moments, in the order of the columns, which is also that of ``origin``."""
    found, start = {}, 0
    for name in (field.name for field in rows.schema if pa.types.is_list(field.type)):
        values = flat_values(rows[name]).reshape(len(rows), -1)
        stop = start + values.shape[1]
        found[name] = moments(values, origin[start:stop])
        start = stop
    return found


def _merge(first: LayerMoments, second: LayerMoments) -> LayerMoments:
    return {layer: found.merge(second[layer]) for layer, found in first.items()}


# -- executor ------------------------------------------------------------------------------------


def describe_features(job: DescribeFeatures) -> Outcome:
    """Write the pair's parts of ``transforms`` and ``transform_features`` (executor)."""
    start = time.perf_counter()
    layers = [_describe(job, layer, job.moments[layer]) for layer in job.slices]
    features = pa.concat_tables(layers)
    n_relevant = len(features) - features["position"].null_count
    row = {
        "statistics": job.statistics.dataset,
        "t_plus": job.of_values.plus,
        "t_minus": job.of_values.minus,
        "ks_plus": job.of_ks.plus,
        "ks_minus": job.of_ks.minus,
        "n_features": len(features),
        "n_relevant": n_relevant,
    }
    transforms = pa.Table.from_pylist([row], schema=TRANSFORMS.schema)
    parquet.write(job.output, TRANSFORMS.part("part-0", *job.pair), transforms, TRANSFORMS.schema)
    parquet.write(job.output, _features_path(job.pair), features, TRANSFORM_FEATURES.schema)
    counts = {"features": len(features), "relevant": n_relevant}
    return Outcome(counts, {"describe": time.perf_counter() - start})


def _describe(job: DescribeFeatures, layer: str, found: Moments) -> pa.Table:
    units = found.n.size
    above, below = _beyond(job, layer, units)
    relevant = (above > 0) | (below > 0)
    mean, std = found.mean_and_std()
    return pa.table(
        {
            "layer": pa.repeat(layer, units),
            "unit": pa.array(np.arange(units, dtype=np.int32)),
            "n": pa.array(found.n),
            "mean": parquet.nullable(mean),
            "std": parquet.nullable(std),
            "n_above": pa.array(above),
            "n_below": pa.array(below),
            "position": pa.array(relevant.cumsum(dtype=np.int32) - 1, mask=~relevant),
        }
    ).cast(TRANSFORM_FEATURES.schema)


def _beyond(
    job: DescribeFeatures, layer: str, units: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The number of classes for which each unit is above and below: int32 [units] each."""
    above, below = np.zeros((2, units), np.int32)
    for name in job.slices[layer]:
        path = KS.part(name, *job.statistics, "true")
        for rows in parquet.row_groups(job.output, path, ["unit", "ks"]):
            unit, ks = rows["unit"].to_numpy(), rows["ks"].to_numpy()  # null reads as NaN
            if job.of_ks.plus is not None:
                above += np.bincount(unit[ks > job.of_ks.plus], minlength=units).astype(np.int32)
            if job.of_ks.minus is not None:
                below += np.bincount(unit[ks < job.of_ks.minus], minlength=units).astype(np.int32)
    return above, below


def read_features(store: Store, pair: Pair) -> dict[str, LayerFeatures]:
    """Layer -> its features, as :func:`describe_features` wrote them (executor)."""
    table = parquet.read_file(store, _features_path(pair))
    layers = table["layer"].unique().to_pylist()
    return {layer: _layer(table.filter(pc.equal(table["layer"], layer))) for layer in layers}


def _layer(rows: pa.Table) -> LayerFeatures:
    kept = rows.filter(pc.is_valid(rows["position"]))["unit"].to_numpy()
    return LayerFeatures(rows["mean"].to_numpy(), rows["std"].to_numpy(), kept)


def _features_path(pair: Pair) -> str:
    return TRANSFORM_FEATURES.part("part-0", *pair)

"""Discretise and prune one shard of embeddings, a row group at a time (executor)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.stages.transform.features import LayerFeatures, Limits, read_features
from kdsspark.stats.discretise import discretise, standardise
from kdsspark.tables import EMBEDDINGS, FULL_NETWORK, PRUNED, Table, with_layers


@dataclass(frozen=True, kw_only=True)
class TransformShard(WorkItem):
    """One shard of embeddings, to be discretised and pruned."""

    output: Output
    pair: Pair
    thresholds: Limits  # for standardised values

    def part(self, table: Table) -> str:
        """The file of the shard in a table."""
        return table.part(self.name.part, *self.pair)


def transform_shard(item: TransformShard) -> Outcome:
    """Write the shard's parts of ``full_network`` and ``pruned``."""
    output, start = item.output, time.perf_counter()
    features = read_features(output, item.pair)
    source = item.part(EMBEDDINGS)
    full, pruned = _schemas(output, source, features)
    with (
        parquet.writer(output, item.part(FULL_NETWORK), full) as full_part,
        parquet.writer(output, item.part(PRUNED), pruned) as pruned_part,
    ):
        for rows in parquet.row_groups(output, source, full.names):
            codes, kept = _fixed(rows), _fixed(rows)
            for layer, found in features.items():
                values = flat_values(rows[layer]).reshape(len(rows), -1)
                codes[layer] = _lists(_codes(values, found, item.thresholds))
                kept[layer] = _lists(values[:, found.kept])
            full_part.write(pa.table(codes))
            pruned_part.write(pa.table(kept))
    return Outcome({"images": full_part.rows}, {"transform": time.perf_counter() - start})


def _schemas(
    store: Store, source: str, features: Mapping[str, LayerFeatures]
) -> tuple[pa.Schema, pa.Schema]:
    """The schemas of ``full_network`` and ``pruned``; ``pruned`` keeps the types of the values."""
    embedded = parquet.schema(store, source)
    return (
        with_layers(FULL_NETWORK, dict.fromkeys(features, pa.int8())),
        with_layers(PRUNED, {name: embedded.field(name).type.value_type for name in features}),
    )


def _fixed(rows: pa.Table) -> dict[str, Any]:
    return {name: rows[name] for name in FULL_NETWORK.schema.names}


def _codes(
    values: npt.NDArray[Any], found: LayerFeatures, thresholds: Limits
) -> npt.NDArray[np.int8]:
    assert thresholds.minus is not None, "the driver refuses that"
    assert thresholds.plus is not None, "the driver refuses that"
    return discretise(standardise(values, found.mean, found.std), thresholds.minus, thresholds.plus)


def _lists(values: npt.NDArray[Any]) -> pa.ListArray:
    """A column with one list per image, from ``values`` [images, units]."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1])
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(np.ascontiguousarray(values).ravel())
    )

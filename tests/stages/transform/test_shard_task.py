"""One shard, discretised and pruned without Spark, against numpy value by value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from kdsspark.output import parquet
from kdsspark.stages.transform.features import Limits
from kdsspark.stages.transform.shard_task import TransformShard, transform_shard
from kdsspark.tables import EMBEDDINGS, FULL_NETWORK, PRUNED, TRANSFORM_FEATURES, Table
from tests.stages.embedded import PAIR, Embedded, awkward, embed

LIMITS = Limits(-0.25, 0.5)
KEPT = {"relu": [1, 4, 8], "double": []}


@pytest.fixture
def data(tmp_path: Path) -> Embedded:
    labels = np.random.default_rng(2).integers(0, 3, 30).tolist()
    found = embed(tmp_path, awkward(30), labels, [20, 10])
    rows = []
    for layer, values in found.layers.items():
        for unit in range(values.shape[1]):
            mean, std = statistics(values[:, unit])
            kept = KEPT[layer].index(unit) if unit in KEPT[layer] else None
            counted = {"n": 1, "n_above": 0, "n_below": 0, "position": kept}
            rows.append({"layer": layer, "unit": unit, "mean": mean, "std": std} | counted)
    table = pa.Table.from_pylist(rows, schema=TRANSFORM_FEATURES.schema)
    path = TRANSFORM_FEATURES.part("part-0", *PAIR)
    parquet.write(found.output, path, table, TRANSFORM_FEATURES.schema)
    return found


def statistics(x: NDArray[np.float64]) -> tuple[float | None, float | None]:
    finite = x[np.isfinite(x)].astype(np.float64)
    return (float(finite.mean()), float(finite.std())) if finite.size else (None, None)


def transform(data: Embedded, shard: str) -> TransformShard:
    item = TransformShard(
        name=PAIR.item(shard), digest="d", output=data.output, pair=PAIR, thresholds=LIMITS
    )
    outcome = transform_shard(item)
    assert outcome.counts == {"images": data.parts[EMBEDDINGS.part(shard, *PAIR)]}
    return item


def values(data: Embedded, table: Table, shard: str, layer: str) -> NDArray[np.float64]:
    rows = parquet.read_file(data.output, table.part(shard, *PAIR))
    return np.array(rows[layer].to_pylist()).reshape(len(rows), -1)


@pytest.mark.parametrize(("shard", "first", "last"), [("shard-0", 0, 20), ("shard-1", 20, 30)])
@pytest.mark.parametrize("layer", ["relu", "double"])
def test_values_become_codes(data: Embedded, shard: str, first: int, last: int, layer: str) -> None:
    transform(data, shard)
    found = values(data, FULL_NETWORK, shard, layer)
    given = data.layers[layer].astype(np.float64)
    for row, unit in np.ndindex(last - first, given.shape[1]):
        x, (mean, std) = given[first + row, unit], statistics(data.layers[layer][:, unit])
        z = (x - mean) / std if std and mean is not None and np.isfinite(x) else 0
        assert found[row, unit] == (1 if z > 0.5 else -1 if z < -0.25 else 0), (row, unit, z)
    assert set(found.ravel()) == {-1, 0, 1}


def test_pruned_has_the_kept_features_as_they_are(data: Embedded) -> None:
    transform(data, "shard-0")
    found = values(data, PRUNED, "shard-0", "relu")
    np.testing.assert_array_equal(found, data.layers["relu"][:20][:, KEPT["relu"]])
    assert values(data, PRUNED, "shard-0", "double").shape == (20, 0)


def test_types_and_fixed_columns_are_those_of_the_embeddings(data: Embedded) -> None:
    item = transform(data, "shard-0")
    source = parquet.read_file(data.output, EMBEDDINGS.part("shard-0", *PAIR))
    fixed = ["image_id", "class_id", "class_name"]
    for table, types in (
        (FULL_NETWORK, {"relu": pa.int8(), "double": pa.int8()}),
        (PRUNED, {"relu": pa.float32(), "double": pa.float64()}),
    ):
        path = data.output.path(item.part(table))
        rows = pq.read_table(path, partitioning=None)
        assert rows.column_names == [*table.schema.names, "relu", "double"]
        assert {n: rows.schema.field(n).type.value_type for n in types} == types
        assert not any(field.nullable for field in rows.schema)
        assert rows.select(fixed) == source.select(fixed)
        groups = pq.read_metadata(path)
        assert [groups.row_group(i).num_rows for i in range(3)] == [7, 7, 6]  # one at a time

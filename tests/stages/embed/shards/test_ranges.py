"""The range of every feature: kept beside each shard, merged over all, written again when lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from kdsspark.output import parquet
from kdsspark.output.names import RANGES as RANGES_FOLDER
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed.shards import ranges
from kdsspark.stages.embed.shards.range_rows import ranges_table
from kdsspark.stats.ranges import Ranges
from kdsspark.tables import EMBEDDINGS, RANGES
from tests.inprocess import InProcess
from tests.stages.embed.fakes import LAYERS, PAIR, SCHEMA, embedding, row

Values = NDArray[Any]
N_UNITS = sum(LAYERS.values())


def rows_of(values: Values) -> pa.Table:
    """Rows of ``embeddings`` with these values, [images, units of all layers]."""
    found = []
    for n, image in enumerate(values):
        layers = dict(zip(LAYERS, np.split(image, [LAYERS["sum"]]), strict=True))
        found.append(embedding(row(n), **{name: list(some) for name, some in layers.items()}))
    return pa.Table.from_pylist(found, schema=SCHEMA)


def values_of(n: int, seed: int = 0) -> Values:
    """Some values that are not finite, a unit that is never finite, and one that is silent."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, N_UNITS)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[rng.random(values.shape) < 0.1] = np.inf
    values[:, 3], values[:, 4] = -np.inf, -0.0
    return values


def oracle(values: Values) -> dict[str, list[Any]]:
    """Columns of ``ranges`` by numpy, unit after unit; undefined is null."""
    finite = [column[np.isfinite(column)] for column in values.T.astype(float)]
    return {
        "lo": [some.min() if len(some) else None for some in finite],
        "hi": [some.max() if len(some) else None for some in finite],
        "n": [len(some) for some in finite],
        "n_nonfinite": [len(values) - len(some) for some in finite],
    }


def as_lists(found: Ranges) -> dict[str, list[Any]]:
    columns = {name: getattr(found, name).tolist() for name in ("lo", "hi", "n", "n_nonfinite")}
    return {n: [None if v != v else v for v in values] for n, values in columns.items()}


PART = EMBEDDINGS.part("shard-1", *PAIR)


def test_the_file_lies_beside_its_shard_under_another_folder(output: Output) -> None:
    assert PART == "embeddings/network=net/dataset=set/shard-1.parquet"
    assert ranges.path_of(PART) == "_ranges/network=net/dataset=set/shard-1.parquet"
    assert ranges.path_of(PART) == output.beside(RANGES_FOLDER, PAIR, "shard-1")


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 8]])
def test_ranges_of_row_groups_are_those_of_all_rows(output: Output, cuts: list[int]) -> None:
    values = values_of(10)
    tables = [rows_of(some) for some in np.split(values, cuts)]
    found = ranges.write(output, PART, tables)
    assert as_lists(found) == oracle(values)
    kept = parquet.read_file(output, ranges.path_of(PART))
    assert kept.schema == RANGES.schema
    assert kept.to_pydict() == {
        "layer": ["sum"] * 2 + ["corner"] * 5,
        "unit": [0, 1, 0, 1, 2, 3, 4],
        **oracle(values),
    }


def test_float64_stays_exact(output: Output) -> None:
    schema = SCHEMA
    for name in LAYERS:
        at = schema.get_field_index(name)
        schema = schema.set(at, pa.field(name, pa.list_(pa.float64())))
    third = embedding(row(1), sum=[1 / 3, 2 / 3], corner=[0.1] * 5)
    found = ranges.write(output, PART, [pa.Table.from_pylist([third], schema=schema)])
    assert found.lo.tolist() == [1 / 3, 2 / 3, *[0.1] * 5]


def put(output: Output, part: str, values: Values) -> None:
    """A shard in row groups of four, without its ranges."""
    tables = [rows_of(values[start : start + 4]) for start in range(0, len(values), 4)]
    parquet.write(output, part, tables, SCHEMA)


def test_ranges_of_all_shards_are_merged_and_lost_ones_written_again(
    in_process: InProcess, output: Output
) -> None:
    pairs = [PAIR, Pair("net", "other")]
    values = {
        pair: [values_of(5, n), values_of(9, n + 7), values_of(1, n)]
        for n, pair in enumerate(pairs)
    }
    parts = {
        pair: [EMBEDDINGS.part(f"shard-{n}", *pair) for n in range(len(values[pair]))]
        for pair in pairs
    }
    for pair in pairs:
        for part, some in zip(parts[pair], values[pair], strict=True):
            put(output, part, some)
    ranges.write(output, parts[PAIR][0], [rows_of(values[PAIR][0])])  # the others are lost
    for _ in range(2):
        found = ranges.merged(in_process, output, parts)  # type: ignore[arg-type]
        assert {pair: as_lists(some) for pair, some in found.items()} == {
            pair: oracle(np.concatenate(values[pair])) for pair in pairs
        }
    assert output.files(RANGES_FOLDER) == sorted(
        ranges.path_of(part) for some in parts.values() for part in some
    )


def test_kept_ranges_are_not_computed_again(in_process: InProcess, output: Output) -> None:
    """They are taken for what they say, so a shard must never lie beside another one's."""
    put(output, PART, values_of(5))
    other = values_of(6, seed=8)
    ranges.write(output, PART, [rows_of(other)])
    found = ranges.merged(in_process, output, {PAIR: [PART]})  # type: ignore[arg-type]
    assert as_lists(found[PAIR]) == oracle(other)


def test_some_features_and_several_layers() -> None:
    values = values_of(10)
    layers = [as_ranges(values[:, :2]), as_ranges(values[:, 2:])]
    every = ranges.concatenated(layers)
    assert as_lists(every) == oracle(values)
    assert as_lists(ranges.some(every, 1, 4)) == oracle(values[:, 1:4])


def as_ranges(values: Values) -> Ranges:
    columns = {n: np.array(c, float) for n, c in oracle(values).items()}  # None becomes NaN
    counts = {n: columns[n].astype(np.int64) for n in ("n", "n_nonfinite")}
    return Ranges(columns["lo"], columns["hi"], **counts)


def test_rows_of_a_slice_are_numbered_within_their_layer() -> None:
    table = ranges_table("corner", 2, as_ranges(values_of(10)[:, 4:6]))
    assert table["unit"].to_pylist() == [2, 3]
    assert table["layer"].to_pylist() == ["corner"] * 2
    assert table.select(RANGES.schema.names).cast(RANGES.schema)["lo"].to_pylist()[0] == 0.0

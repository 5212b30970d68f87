"""Distances of a pair as a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.report import distances
from kdsspark.tables import KS, SIGNIFICANCE, Table

PAIR = Pair("net", "set")
FIRSTS = {"b": 0, "a": 3}  # depth goes before the name
SHAPE = 2, 5


def write(output: Output, table: Table, part: str, rows: list[dict[str, Any]], *at: str) -> None:
    columns = {
        field.name: pa.array([row.get(field.name, 0) for row in rows], field.type)
        for field in table.schema
    }
    path = table.part(part, *PAIR, *at)
    parquet.write(output, path, pa.table(columns, schema=table.schema), table.schema)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """A file for each layer; shuffled distances beside the true ones."""
    output = Output.at(str(tmp_path))
    for layer, units in (("a", 2), ("b", 3)):
        keys = [{"layer": layer, "unit": u, "class_id": c} for u in range(units) for c in (1, 0)]
        true = [{**key, "ks": value(**key)} for key in keys]
        write(output, KS, f"part-{layer}", true, "true")
        write(output, KS, f"part-{layer}", [{**key, "ks": 9.0} for key in keys], "shuffled")
        if layer == "b":
            tested = [{**row, "q": row["ks"]} for row in true]
            write(output, SIGNIFICANCE, f"part-{layer}", tested)
    return output


def value(layer: str, unit: int, class_id: int) -> float | None:
    if (layer, unit) == ("b", 1):
        return None
    return (-1) ** class_id * (FIRSTS[layer] + unit + 1) / 10


def test_rows_are_put_where_their_feature_and_class_are(output: Output) -> None:
    ks, q = distances.read(output, PAIR, FIRSTS, SHAPE)
    want = np.array([[0.1, 0, 0.3, 0.4, 0.5]] * 2, np.float32) * [[1], [-1]]
    assert (ks.dtype, q.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(ks, want.astype(np.float32))
    want[:, [1, 3, 4]] = np.nan  # undefined, or not there
    np.testing.assert_array_equal(q, want.astype(np.float32))


def test_without_files_there_are_no_distances(tmp_path: Path) -> None:
    ks, q = distances.read(Output.at(str(tmp_path)), PAIR, FIRSTS, SHAPE)
    assert not ks.any()
    assert np.isnan(q).all()

"""Tables as data frames."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from kdsspark.api.result import Result
from kdsspark.tables import KS, TABLES, Table


def rows(table: Table, **values: list[Any]) -> pa.Table:
    """Rows of a table that has null in all other columns."""
    n = len(next(iter(values.values())))
    fields = [field.with_nullable(True) for field in table.schema]
    columns = [pa.array(values.get(f.name, [None] * n), f.type) for f in fields]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


@pytest.mark.parametrize("classes", [["ape", "bee"], [7, 3], [2.5, -1.0]])
def test_labels_stand_beside_their_numbers(classes: list[Any]) -> None:
    ks = rows(KS, layer=["x"] * 3, class_id=[1, 0, 1], ks=[0.5, -0.5, 0.25])
    found = Result.of([(KS, ("true",), ks.slice(0, 2)), (KS, ("shuffled",), ks.slice(2))], classes)
    assert found.ks["class"].tolist() == [classes[1], classes[0], classes[1]]
    assert found.ks.columns.get_loc("class") == found.ks.columns.get_loc("class_id") + 1
    assert found.ks["labels"].tolist() == ["true", "true", "shuffled"]
    assert found.ks["ks"].tolist() == [0.5, -0.5, 0.25]
    assert found.classes == classes


def test_significance_is_joined_to_the_true_labels() -> None:
    significance = TABLES["significance"]
    ks = rows(KS, class_id=[0, 1, 0], ks=[0.1, 0.2, 0.3])
    own = {name: [1.0, 2.0] for name in significance.schema.names if name not in KS.schema.names}
    given = rows(significance, class_id=[0, 1], **own)
    tables = [
        (KS, ("true",), ks.slice(0, 2)),
        (KS, ("shuffled",), ks.slice(2)),
        (significance, (), given),
    ]
    found = Result.of(tables, ["a", "b"])
    assert own
    for name in own:
        assert found.ks[name].tolist()[:2] == [1.0, 2.0]
        assert pd.isna(found.ks[name].iloc[2])


def test_what_was_not_asked_for_has_columns_and_no_rows() -> None:
    found = Result.of([], ["a", "b"])
    assert len(found.histograms) == 0
    assert set(found.histograms) >= {column.name for column in TABLES["histograms"].columns}

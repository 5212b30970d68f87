"""Histograms of the units that the report draws, against the table."""

from __future__ import annotations

import numpy as np
import pytest

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import curves
from kdsspark.stages.report.curves import ALL
from kdsspark.tables import HISTOGRAMS

pytestmark = pytest.mark.usefixtures("without_spark")

FRUIT, WOOD = Pair("tiny", "fruit"), Pair("tiny", "wood")
WANTED = {
    FRUIT: {
        ("conv1", 3): frozenset({0, 2}),
        ("conv1", 5): frozenset(),
        ("fire4", 3): frozenset({1}),
        ("fire4", 200): frozenset({0, 1, 2}),
        ("fire4", 9999): frozenset({0}),  # not there
    },
    WOOD: {("conv1", 3): frozenset({1})},
    Pair("tiny", "gone"): {("conv1", 3): frozenset({1})},
    Pair("other", "wood"): {},
}


def test_counts_are_those_of_the_table(fruit: Study) -> None:
    found = curves.read(fruit.context.session, fruit.output, WANTED)
    assert set(found) == {FRUIT, WOOD}
    for pair, own in found.items():
        table = parquet.read(fruit.output, HISTOGRAMS, *pair).to_pandas()
        by_unit = {key: rows for key, rows in table.groupby(["layer", "unit"])}
        keys = set()
        for unit, classes in WANTED[pair].items():
            if unit in by_unit:
                keys |= {(*unit, c) for c in (ALL, *classes)}
                rows = by_unit[unit].set_index("class_id")["counts"]
                assert own[*unit, ALL].tolist() == np.stack(rows.to_list()).sum(0).tolist()
                for c in classes:
                    assert own[*unit, c].tolist() == rows[c].tolist()
        assert set(own) == keys
        assert all(counts.dtype == np.int64 for counts in own.values())


def test_parts_of_a_unit_are_added_up() -> None:
    """Where the rows of a unit lie in several files or row groups."""
    key, whole = ("x", 0, 2), ("x", 0, ALL)
    one = {whole: np.array([1, 2]), key: np.array([0, 2])}
    other = {whole: np.array([5, 0]), ("x", 0, 3): np.array([4, 0])}
    both = curves._both(one, other)
    assert {key: counts.tolist() for key, counts in both.items()} == {
        whole: [6, 2],
        key: [0, 2],
        ("x", 0, 3): [4, 0],
    }
    assert one[whole].tolist() == [1, 2]


def test_what_several_want_is_read_once() -> None:
    one = {FRUIT: {("x", 0): frozenset({1}), ("x", 1): frozenset({2})}}
    other = {FRUIT: {("x", 0): frozenset({3})}, WOOD: {("y", 0): frozenset({1})}}
    assert curves.together(one, other) == {
        FRUIT: {("x", 0): {1, 3}, ("x", 1): {2}},
        WOOD: {("y", 0): {1}},
    }
    assert one == {FRUIT: {("x", 0): {1}, ("x", 1): {2}}}

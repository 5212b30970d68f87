"""The medians of the class and of the rest, from histograms written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kdsspark.output.names import Pair
from kdsspark.stages.report import rest
from kdsspark.stages.report.curves import ALL

D, E = Pair("n", "d"), Pair("n", "e")


def distances(values: Sequence[float], dataset: str = "d") -> pd.DataFrame:
    """A row for each ks, of units 0, 1, .. of one layer."""
    rows = [("n", dataset, "x", unit, 2, ks) for unit, ks in enumerate(values)]
    return pd.DataFrame(rows, columns=["network", "dataset", "layer", "unit", "class_id", "ks"])


def test_medians_lie_in_the_middle_of_their_bins() -> None:
    """Four bins. Of unit 0 the rest is in the last two, the class in the first; unit 2 has none."""
    counts = {
        ("x", 0, 2): np.array([5, 0, 1, 0]),
        ("x", 0, ALL): np.array([5, 0, 5, 3]),
        ("x", 1, 2): np.array([0, 2, 2, 0]),
        ("x", 1, ALL): np.array([1, 3, 3, 9]),
    }
    found = rest.medians(distances([-0.9, -0.85, -0.95]), {D: counts})
    assert found[["unit", "ks", "own", "rest"]].to_numpy().tolist() == [
        [0, -0.9, 0.125, 0.625],
        [1, -0.85, 0.375, 0.875],
    ]


def test_the_ten_lowest_below_the_limit_are_compared() -> None:
    many = distances([-0.8 - n / 100 for n in range(13)])  # the first is not below
    other = distances([-0.99, -0.5, 0.99], dataset="e")
    rows = rest.lowest(pd.concat([many, other]))
    assert rows[rows["dataset"] == "d"]["unit"].tolist() == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert rows[rows["dataset"] == "e"]["unit"].tolist() == [0]


def test_the_histograms_of_the_rows_are_wanted() -> None:
    rows = pd.concat([distances([-0.9, -0.9]), distances([-0.9], dataset="e")])
    other_class = rows.iloc[:1].assign(class_id=5)
    assert rest.counts_compared(pd.concat([rows, other_class])) == {
        D: {("x", 0): {2, 5}, ("x", 1): {2}},
        E: {("x", 0): {2}},
    }


def test_nothing_is_extremely_negative() -> None:
    rows = rest.lowest(distances([-0.5]))
    assert rest.counts_compared(rows) == {}
    found = rest.medians(rows, {})
    assert found.empty
    assert list(found.columns)[-2:] == ["own", "rest"]

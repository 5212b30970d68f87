"""The medians of the class and of the rest, from histograms written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

from kdsspark.output.output import Output
from kdsspark.stages.report import rest
from kdsspark.stages.report.feature_classes import Key

OUTPUT = Output("memory://nothing")


def lowest(values: Sequence[float], network: str = "n", dataset: str = "d") -> pd.DataFrame:
    """A row for each ks, of units 0, 1, .. of one layer."""
    rows = [
        {
            "network": network,
            "dataset": dataset,
            "layer": "x",
            "unit": unit,
            "class_id": 2,
            "ks": ks,
        }
        for unit, ks in enumerate(values)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """Four bins. Of unit 0 the rest is in the last two, the class in the first; unit 7 has none."""
    keys: list[Key] = []
    bins = {
        0: {"inner": [5, 0, 1, 0], "outer": [0, 0, 4, 3]},
        1: {"inner": [0, 2, 2, 0], "outer": [1, 1, 1, 9]},
    }

    def read(_output: Output, wanted: Sequence[Key]) -> dict[Key, pd.DataFrame]:
        keys.extend(wanted)
        return {key: pd.DataFrame(bins.get(key[3], bins[0])) for key in wanted if key[3] != 7}

    monkeypatch.setattr(rest, "read_bins", read)
    return keys


def test_medians_lie_in_the_middle_of_their_bins(asked: list[Key]) -> None:
    found = rest.medians(OUTPUT, lowest([-0.9, -0.85]))
    assert found[["unit", "ks", "own", "rest"]].to_numpy().tolist() == [
        [0, -0.9, 0.125, 0.625],
        [1, -0.85, 0.375, 0.875],
    ]
    assert asked == [("n", "d", "x", 0, 2), ("n", "d", "x", 1, 2)]


def test_only_the_ten_lowest_below_the_limit_are_read(asked: list[Key]) -> None:
    many = lowest([-0.8 - n / 100 for n in range(13)])  # the first is not below
    other = lowest([-0.99, -0.5, 0.99], dataset="e")
    found = rest.medians(OUTPUT, pd.concat([many, other]))
    assert [key[3] for key in asked if key[1] == "d"] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert [key[3] for key in asked if key[1] == "e"] == [0]
    assert len(found) == 10  # one of them has no histogram


@pytest.mark.usefixtures("asked")
def test_nothing_is_extremely_negative() -> None:
    found = rest.medians(OUTPUT, lowest([-0.5]))
    assert found.empty
    assert list(found.columns)[-2:] == ["own", "rest"]

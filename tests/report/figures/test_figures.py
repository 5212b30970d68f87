"""The figures of a whole network, and the data that their CSV files hold."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from kdsspark.report.figures import FIGURES, figure_data
from kdsspark.report.queries import QUERIES


def test_every_figure_has_its_query() -> None:
    assert set(FIGURES) - {"figure8"} <= set(QUERIES)  # figure 8 draws rows of figure 6


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("figure8", "figure9")])
def test_the_data_of_a_figure_is_its_frame(frame: Callable[[str], pd.DataFrame], name: str) -> None:
    pd.testing.assert_frame_equal(figure_data(name, frame(name)), frame(name))


def test_data_of_figure9_has_a_row_per_curve(frame: Callable[[str], pd.DataFrame]) -> None:
    rows = frame("figure9")
    data = figure_data("figure9", rows)
    assert len(data) == (12 + 1 + 7) * 2 * 2
    one = "dataset == 'wood' and labels == 'shuffled' and class_id == 3 and sign == '-'"
    curve = rows.query(one).set_index("x")
    got = data.query(one).iloc[0]
    assert got["t_plus"] == curve["t_plus"].iloc[0]
    for x in (0, 0.07, 0.29, 1):
        assert got[f"x={x:.2f}"] == curve["n_features"].loc[x]
    assert data.query("dataset == 'mono'")["t_plus"].isna().all()

"""Tables of pages: cells, sort keys, and long tables that are cut."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from kdsspark.report.parts import grid
from kdsspark.report.parts.grid import Cell, GridColumn

ROW = {"name": "a/b", "x": -0.1206, "none": None, "share": 0.123}


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (grid.text("", "name"), Cell("a/b")),
        (grid.text("", "none"), Cell("\u2013")),
        (grid.number("", "x", 2), Cell("\u22120.12", sort=-0.1206)),
        (grid.number("", "share", 1, plus=True), Cell("+0.1", sort=0.123)),
        (grid.number("", "none"), Cell("\u2013")),
        (grid.percent("", "share"), Cell("12.3 %", sort=0.123)),
        (grid.percent("", "none"), Cell("\u2013")),
        (grid.linked("", "name", lambda row: f"to/{row['x']}"), Cell("a/b", "to/-0.1206")),
    ],
)
def test_cells(column: GridColumn, cell: Cell) -> None:
    assert column.cell(ROW) == cell


def test_a_long_table_shows_both_ends_and_has_a_csv_of_all_rows() -> None:
    frame = pd.DataFrame({"x": range(grid.SHOWN + 30)})
    made = grid.make("caption", [grid.number("x", "x")], frame, "data/x.csv")
    shown = [int(row[0].text) for row in made.cells]
    assert shown == [*range(100), *range(130, 230)]
    assert made.total == 230
    assert made.note == "The first and the last 100 of 230 rows; all of them are in the CSV."
    assert list(made.files) == [made.csv] == ["data/x.csv"]
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(made.files["data/x.csv"])), frame)


def test_a_short_table_shows_every_row() -> None:
    frame = pd.DataFrame({"x": range(grid.SHOWN)})
    made = grid.make("caption", [grid.number("x", "x")], frame, "data/x.csv")
    assert len(made.cells) == grid.SHOWN
    assert made.note == ""

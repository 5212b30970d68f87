"""The tables of the pages: typed cells, cut where there are too many rows to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from kdsspark.report.parts import formats
from kdsspark.report.parts.page import Files, csv

SHOWN: Final = 200
"""How many rows of one table a page shows; its CSV has all of them."""


@dataclass(frozen=True)
class Cell:
    """One cell: its text, its link, its sort key, and a drawing (SVG) in place of the text.

    ``parts`` in place of the text: cells that stand in a row, each with its own link.
    """

    text: str = ""
    href: str | None = None
    sort: float | None = None
    drawing: str | None = None
    parts: Sequence[Cell] = ()


@dataclass(frozen=True)
class GridColumn:
    """A heading, and a function from a row (plain values, None for null) to a cell."""

    heading: str
    cell: Callable[[dict[str, Any]], Cell]
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Grid:
    """What the macro ``grid`` prints: the cells that are shown, of ``total`` rows.

    ``csv`` is the path, relative to the report, of the file with all rows; ``files`` has the file.
    """

    caption: str
    columns: Sequence[GridColumn]
    cells: Sequence[Sequence[Cell]]
    total: int
    csv: str
    files: Files = field(repr=False)

    @property
    def note(self) -> str:
        """Says which rows are shown; empty if all are."""
        if len(self.cells) == self.total:
            return ""
        half, total = formats.number(SHOWN // 2), formats.number(self.total)
        return f"The first and the last {half} of {total} rows; all of them are in the CSV."


def make(caption: str, columns: Sequence[GridColumn], frame: pd.DataFrame, path: str) -> Grid:
    """A grid of the rows of ``frame`` in its order, both ends of a long one, with a CSV of all."""
    shown = frame
    if len(frame) > SHOWN:
        shown = pd.concat([frame.iloc[: SHOWN // 2], frame.iloc[-(SHOWN // 2) :]])
    cells = [[column.cell(row) for column in columns] for row in formats.rows(shown)]
    return Grid(caption, columns, cells, len(frame), path, {path: csv(frame)})


def text(heading: str, key: str, wide: bool = False) -> GridColumn:
    """A column of text."""

    def cell(row: dict[str, Any]) -> Cell:
        return Cell("\u2013" if row[key] is None else str(row[key]))

    return GridColumn(heading, cell, wide=wide)


def number(heading: str, key: str, digits: int = 0, plus: bool = False) -> GridColumn:
    """A column of numbers; ``plus`` prints the sign of positive ones, for differences."""
    shown = formats.signed if plus else formats.number

    def cell(row: dict[str, Any]) -> Cell:
        return Cell(shown(row[key], digits), sort=row[key])

    return GridColumn(heading, cell, numeric=True)


def percent(heading: str, key: str) -> GridColumn:
    """A column of shares (0 to 1), printed in percent."""

    def cell(row: dict[str, Any]) -> Cell:
        share = row[key]
        text = formats.number(None if share is None else 100 * share, 1)
        return Cell(text if share is None else f"{text} %", sort=share)

    return GridColumn(heading, cell, numeric=True)


def linked(
    heading: str, key: str, href: Callable[[dict[str, Any]], str], wide: bool = False
) -> GridColumn:
    """A column of text that leads to other pages."""
    return GridColumn(heading, lambda row: Cell(str(row[key]), href(row)), wide=wide)

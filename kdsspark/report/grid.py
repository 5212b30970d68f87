"""Tables of the pages: typed cells, capped where they would be too long to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from kdsspark.report import formats

SHOWN: Final = 200
"""Rows of one table that a page shows; all of them are in its CSV."""


@dataclass(frozen=True)
class Cell:
    """One cell: its text, where it leads, what it is sorted by, and a drawing (SVG) instead."""

    text: str = ""
    href: str | None = None
    sort: float | None = None
    drawing: str | None = None


@dataclass(frozen=True)
class Column:
    """A heading, and how to make a cell of a row (plain values, None for null)."""

    heading: str
    cell: Callable[[dict[str, Any]], Cell]
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Grid:
    """What the macro ``grid`` prints. ``csv`` leads to all ``total`` rows, relative to the page."""

    caption: str
    columns: Sequence[Column]
    cells: Sequence[Sequence[Cell]]
    total: int
    csv: str | None = None

    @property
    def note(self) -> str:
        """What is not shown, in words; empty if everything is."""
        if len(self.cells) == self.total:
            return ""
        half, total = formats.number(SHOWN // 2), formats.number(self.total)
        return f"The first and the last {half} of {total} rows; all of them are in the CSV."


def make(
    caption: str, columns: Sequence[Column], frame: pd.DataFrame, csv: str | None = None
) -> Grid:
    """A grid of the rows of ``frame``, in its order; of a long one both ends."""
    shown = frame
    if len(frame) > SHOWN:
        shown = pd.concat([frame.iloc[: SHOWN // 2], frame.iloc[-(SHOWN // 2) :]])
    cells = [[column.cell(row) for column in columns] for row in formats.rows(shown)]
    return Grid(caption, columns, cells, len(frame), csv)


def text(heading: str, key: str, wide: bool = False) -> Column:
    """A column of text."""

    def cell(row: dict[str, Any]) -> Cell:
        return Cell("\u2013" if row[key] is None else str(row[key]))

    return Column(heading, cell, wide=wide)


def number(heading: str, key: str, digits: int = 0, plus: bool = False) -> Column:
    """A column of numbers; ``plus``: with their sign, as differences have."""
    shown = formats.signed if plus else formats.number

    def cell(row: dict[str, Any]) -> Cell:
        return Cell(shown(row[key], digits), sort=row[key])

    return Column(heading, cell, numeric=True)


def percent(heading: str, key: str) -> Column:
    """A column of shares (0 to 1), printed in percent."""

    def cell(row: dict[str, Any]) -> Cell:
        share = row[key]
        text = formats.number(None if share is None else 100 * share, 1)
        return Cell(text if share is None else f"{text} %", sort=share)

    return Column(heading, cell, numeric=True)


def linked(heading: str, key: str, href: Callable[[dict[str, Any]], str]) -> Column:
    """A column of text that leads to other pages."""
    return Column(heading, lambda row: Cell(str(row[key]), href(row)))

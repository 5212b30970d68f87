"""Where other distances disagree with ks: a table for all datasets, and figures of the extremes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kdsspark.report.data import Disagreements
from kdsspark.report.parts import grid, names
from kdsspark.report.parts.drawing import Drawn, draw_disagreement
from kdsspark.report.parts.grid import Cell, Grid, GridColumn
from kdsspark.report.parts.page import files_of

UnitPages = Mapping[tuple[str, int], str]


@dataclass(frozen=True, eq=False)
class Disagreeing:
    """The part of the page for one network; ``figures``: distance in words -> its figure."""

    grid: Grid
    figures: Mapping[str, Drawn]

    @property
    def files(self) -> dict[str, bytes]:
        """The table and the figures."""
        return files_of(self.grid, *self.figures.values())


def disagreeing(
    network: str, disagreements: Disagreements | None, pages: UnitPages
) -> Disagreeing | None:
    """The part of the page for one network; None without other distances.

    ``pages``: those of its units that have one, by layer and unit.
    """
    if disagreements is None:
        return None
    extremes, bins = (
        frame[frame["network"] == network] for frame in (disagreements.extremes, disagreements.bins)
    )
    if extremes.empty:
        return None
    figures = {
        str(name).replace("_", " "): draw_disagreement(rows)
        for name, rows in bins.groupby("distance", sort=False)
    }
    return Disagreeing(_grid(network, extremes, pages), figures)


def _grid(network: str, extremes: pd.DataFrame, pages: UnitPages) -> Grid:
    def unit(row: dict[str, Any]) -> Cell:
        page = pages.get((row["layer"], row["unit"]))
        return Cell(str(row["unit"]), page, sort=row["unit"])

    def class_page(row: dict[str, Any]) -> str:
        return names.class_page(network, row["dataset"], row["class_name"])

    columns = [
        grid.linked("dataset", "dataset", lambda row: names.dataset_page(network, row["dataset"])),
        GridColumn("distance", lambda row: Cell(str(row["distance"]).replace("_", " "))),
        grid.linked("layer", "layer", lambda row: names.layer_page(network, row["layer"])),
        GridColumn("unit", unit, numeric=True),
        grid.linked("class", "class_name", class_page, wide=True),
        grid.number("value", "value", 3),
        grid.number("ks", "ks", 3, plus=True),
        grid.percent("pairs below, by the distance", "rank"),
        grid.percent("pairs below, by ks", "rank_ks"),
    ]
    caption = (
        "For each dataset and distance, the pair that the distance ranks highest relative to ks "
        "and the one that it ranks lowest, among the pairs of a layer."
    )
    return grid.make(caption, columns, extremes, names.data_file(network, "disagreements"))

"""Where other distances disagree with ks: a table of all datasets, and the widest gaps drawn."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kdsspark.report import grid, names
from kdsspark.report.data import Disagreements
from kdsspark.report.grid import Cell, Column, Grid
from kdsspark.report.pages.drawing import csv, draw_disagreement


def context(
    network: str, found: Disagreements | None, files: dict[str, bytes]
) -> dict[str, Any] | None:
    """What the template shows of one network, None if that is nothing; adds figures and CSV."""
    if found is None or not len(pairs := found.pairs[found.pairs["network"] == network]):
        return None
    path = names.data_file(network, "disagreements")
    files[path] = csv(pairs)
    bins = found.bins[found.bins["network"] == network]
    figures = {
        str(name).replace("_", " "): draw_disagreement(rows, files)
        for name, rows in bins.groupby("distance", sort=False)
    }
    return {"grid": _grid(network, pairs, path), "figures": figures}


def _grid(network: str, pairs: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.linked("dataset", "dataset", lambda row: names.dataset_page(network, row["dataset"])),
        Column("distance", lambda row: Cell(str(row["distance"]).replace("_", " "))),
        grid.linked("layer", "layer", lambda row: names.layer_page(network, row["layer"])),
        grid.number("unit", "unit"),
        grid.text("class", "class_name", wide=True),
        grid.number("value", "value", 3),
        grid.number("ks", "ks", 3, plus=True),
        grid.percent("pairs below, by the distance", "rank"),
        grid.percent("pairs below, by ks", "rank_ks"),
    ]
    caption = (
        "Of each dataset and distance the pair that it ranks highest above ks, and the one that it "
        "ranks lowest, within the pairs of a layer."
    )
    return grid.make(caption, columns, pairs, path)

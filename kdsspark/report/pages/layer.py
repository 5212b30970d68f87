"""The page of one layer: how well it tells the classes of each dataset apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from kdsspark.report.data import NetworkInfo, signs_beside
from kdsspark.report.figures.panels import datasets_in_order, reach
from kdsspark.report.pages import formats, grid, names, sparkline
from kdsspark.report.pages.grid import Cell, Grid, GridColumn
from kdsspark.report.pages.page import Page, csv, files_of


def page(info: NetworkInfo, row: dict[str, Any], frames: Mapping[str, pd.DataFrame]) -> Page:
    """The page of the layer in ``row``, a row of the query ``layers``.

    ``frames`` have the rows of its network.
    """
    network, layer = str(row["network"]), str(row["layer"])
    own = {
        name: frame[frame["layer"] == layer] for name, frame in frames.items() if "layer" in frame
    }
    distribution = own["layer_distribution"]
    spread = _spread_grid(network, layer, _spread(own), distribution)
    extremes = _extremes_grid(network, layer, own["layer_extremes"])
    path = names.data_file(network, "ks", layer)
    return Page(
        path=names.layer_page(network, layer),
        template="layer.html",
        values={
            "info": info,
            "row": row,
            "spread": spread,
            "distribution_csv": path,
            "extremes": extremes,
        },
        files={**files_of(spread, extremes), path: csv(distribution)},
    )


def _spread(own: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per dataset: mode, ends and share kept for each sign, and the share by chance."""
    rows, kept = own["figure5"], own["figure10"]
    wide = signs_beside(rows, ["dataset"], ["mode", "low", "high", "kept"]).set_index("dataset")
    shuffled = kept[kept["labels"] == "shuffled"].set_index("dataset")["kept"]
    ordered = wide.assign(kept_by_chance=shuffled).loc[datasets_in_order(rows)]
    return ordered.reset_index()


def _spread_grid(network: str, layer: str, spread: pd.DataFrame, ks: pd.DataFrame) -> Grid:
    far = reach(ks["hi"], ks["n"])

    def bars(sign: str) -> GridColumn:
        def cell(row: dict[str, Any]) -> Cell:
            if row[f"mode_{sign}"] is None:
                return Cell(formats.number(None))
            columns = [f"{name}_{sign}" for name in ("mode", "low", "high")]
            mode, low, high = (formats.number(row[name], 3) for name in columns)
            return Cell(f"{mode} ({low} to {high})", sort=row[f"mode_{sign}"])

        ks = "ks" if sign == "plus" else "\u2212ks"
        return GridColumn(f"{ks} > 0: mode (68 %)", cell)

    def drawing(row: dict[str, Any]) -> Cell:
        own = ks[ks["dataset"] == row["dataset"]]
        return Cell(drawing=_distribution(own, str(row["dataset"]), far))

    columns = [
        grid.linked("dataset", "dataset", lambda row: names.dataset_page(network, row["dataset"])),
        bars("plus"),
        bars("minus"),
        grid.percent("kept above t+", "kept_plus"),
        grid.percent("kept below t\u2212", "kept_minus"),
        grid.percent("kept by chance", "kept_by_chance"),
        GridColumn("distribution of ks", drawing),
    ]
    caption = (
        "Datasets, by images per class: the most common distances with the central 68 % of a "
        "log-normal fit, the share of pairs beyond the thresholds, and the distribution of ks from "
        f"\u2212{far:.2f} to {far:.2f}; dashed with shuffled labels."
    )
    return grid.make(caption, columns, spread, names.data_file(network, "layer", layer))


def _distribution(frame: pd.DataFrame, dataset: str, far: float) -> str:
    wide = frame.pivot(index="bin", columns="labels", values="n").sort_index()
    edges = frame.drop_duplicates("bin").sort_values("bin")
    middle = (edges["lo"].to_numpy(float) + edges["hi"].to_numpy(float)) / 2
    shares = {
        labels: wide[labels].to_numpy(float) / max(1.0, float(wide[labels].sum()))
        for labels in ("shuffled", "true")
        if labels in wide
    }
    top = 1.05 * float(shares["true"].max()) if "true" in shares else 0.0
    return sparkline.curves(middle, shares, f"distribution of ks for {dataset}", far, top)


def _extremes_grid(network: str, layer: str, extremes: pd.DataFrame) -> Grid:
    columns = [
        grid.linked("dataset", "dataset", lambda row: names.dataset_page(network, row["dataset"])),
        grid.number("unit", "unit"),
        grid.text("class", "class_name", wide=True),
        grid.number("ks", "ks", 3, plus=True),
    ]
    caption = "The five highest and the five lowest distances of each dataset."
    ordered = extremes.sort_values(["dataset", "sign", "place"])
    return grid.make(caption, columns, ordered, names.data_file(network, "pairs", layer))

"""The page of one layer: how well it tells the classes of every dataset."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kdsspark.report import formats, grid, names, sparkline
from kdsspark.report.figures.panels import datasets_in_order, reach
from kdsspark.report.frames import signs_beside
from kdsspark.report.grid import Cell, Column, Grid
from kdsspark.report.pages.drawing import csv


def context(
    row: dict[str, Any], frames: dict[str, pd.DataFrame], files: dict[str, bytes]
) -> dict[str, Any]:
    """What the template shows; adds the layer's CSV to ``files``.

    ``row`` is the layer's of the query ``layers``, ``frames`` the rows of its network.
    """
    network, layer = str(row["network"]), str(row["layer"])
    own = {
        name: frame[frame["layer"] == layer] for name, frame in frames.items() if "layer" in frame
    }
    spread, distribution, pairs = _spread(own), own["layer_distribution"], own["top_pairs"]
    pairs = pairs.sort_values(["dataset", "sign", "place"])
    paths = {name: names.data_file(network, name, layer) for name in ("layer", "pairs", "ks")}
    files[paths["layer"]] = csv(spread)
    files[paths["ks"]] = csv(distribution)
    files[paths["pairs"]] = csv(pairs)
    return {
        "row": row,
        "spread": _spread_grid(network, spread, distribution, paths["layer"]),
        "distribution_csv": paths["ks"],
        "pairs": _pairs_grid(network, pairs, paths["pairs"]),
    }


def _spread(own: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per dataset: mode, ends and share kept of both signs, and the share by chance."""
    rows, kept = own["figure5"], own["figure10"]
    wide = signs_beside(rows, ["dataset"], ["mode", "low", "high", "kept"]).set_index("dataset")
    shuffled = kept[kept["labels"] == "shuffled"].set_index("dataset")["kept"]
    ordered = wide.assign(kept_by_chance=shuffled).loc[datasets_in_order(rows)]
    return ordered.reset_index()


def _spread_grid(network: str, spread: pd.DataFrame, ks: pd.DataFrame, path: str) -> Grid:
    far = reach(ks["hi"], ks["n"])

    def bars(sign: str) -> Column:
        def cell(row: dict[str, Any]) -> Cell:
            if row[f"mode_{sign}"] is None:
                return Cell(formats.number(None))
            columns = [f"{name}_{sign}" for name in ("mode", "low", "high")]
            mode, low, high = (formats.number(row[name], 3) for name in columns)
            return Cell(f"{mode} ({low} to {high})", sort=row[f"mode_{sign}"])

        ks = "ks" if sign == "plus" else "\u2212ks"
        return Column(f"{ks} > 0: mode (68 %)", cell)

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
        Column("distribution of ks", drawing),
    ]
    caption = (
        "Datasets by images per class: the most common distances with the central 68 % of a "
        "log-normal fit, the share of pairs beyond the thresholds, and how ks is spread over "
        f"\u2212{far:.2f} to {far:.2f}; dashed with shuffled labels."
    )
    return grid.make(caption, columns, spread, path)


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


def _pairs_grid(network: str, pairs: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.linked("dataset", "dataset", lambda row: names.dataset_page(network, row["dataset"])),
        grid.number("unit", "unit"),
        Column("class", lambda row: Cell(formats.class_name(row)), wide=True),
        grid.number("ks", "ks", 3, plus=True),
    ]
    caption = "The five highest and the five lowest distances of each dataset."
    return grid.make(caption, columns, pairs, path)

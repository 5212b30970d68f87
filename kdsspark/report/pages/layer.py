"""The page of one layer: how well it tells the classes of each dataset apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from kdsspark.report.data import NetworkInfo, signs_beside
from kdsspark.report.figures.panels import datasets_in_order, reach
from kdsspark.report.gallery.gallery import Gallery, Sheet
from kdsspark.report.parts import cards, formats, grid, names, sparkline
from kdsspark.report.parts.grid import Cell, Grid, GridColumn
from kdsspark.report.parts.page import Page, csv, files_of

Pages = Mapping[int, str]
"""Unit -> its page, of the units of the layer that have one."""


def page(
    info: NetworkInfo,
    row: dict[str, Any],
    frames: Mapping[str, pd.DataFrame],
    galleries: Sequence[Gallery],
    filters: bytes | None = None,
) -> Page:
    """The page of the layer in ``row``, a row of the query ``layers``.

    ``frames`` and ``galleries`` are those of its network. ``filters``: the picture of the weights
    of the network's first layer.
    """
    network, layer = str(row["network"]), str(row["layer"])
    own = {
        name: frame[frame["layer"] == layer] for name, frame in frames.items() if "layer" in frame
    }
    distribution = own["layer_distribution"]
    spread = _spread_grid(network, layer, _spread(own), distribution)
    pages = {
        unit: path for (name, unit), path in cards.unit_pages(galleries).items() if name == layer
    }
    extremes = _extremes_grid(network, layer, own["layer_extremes"], pages)
    path = names.data_file(network, "ks", layer)
    drawn = {names.filters(network): filters} if filters and row["depth"] == 0 else {}
    return Page(
        path=names.layer_page(network, layer),
        template="layer.html",
        values={
            "info": info,
            "row": row,
            "spread": spread,
            "distribution_csv": path,
            "extremes": extremes,
            **_units(layer, galleries, pages),
            "filters": next(iter(drawn), None),
        },
        files={**files_of(spread, extremes), **drawn, path: csv(distribution)},
    )


def _units(layer: str, galleries: Sequence[Gallery], pages: Pages) -> dict[str, Any]:
    """The sheet of the layer, and the units with a page that it does not show."""
    owner = next((gallery for gallery in galleries if layer in gallery.sheets), None)
    sheet = None if owner is None else _sheet(owner, owner.sheets[layer], pages)
    on_sheet = {tile["unit"] for tile in sheet["tiles"]} if sheet else set()
    more = sorted(set(pages) - on_sheet)
    return {
        "sheet": sheet,
        "dead": None if owner is None else _n_dead(owner.sheets[layer]),
        "more": [{"name": str(unit), "page": pages[unit]} for unit in more],
    }


def _sheet(gallery: Gallery, sheet: Sheet, pages: Pages) -> dict[str, Any]:
    """The units of a sheet, each a position in one strip."""
    n = len(sheet.features)
    return {
        "src": sheet.path,
        "corpus": sheet.corpus,
        "shown": n,
        "tiles": [
            {"at": cards.at(i, n)} | _of_sheet(gallery, sheet, feature, pages)
            for i, feature in enumerate(sheet.features)
        ],
    }


def _of_sheet(gallery: Gallery, sheet: Sheet, feature: int, pages: Pages) -> dict[str, Any]:
    shown = max(gallery.classes, key=lambda shown: float(gallery.ks[shown.class_id, feature]))
    ks, best = float(gallery.ks[shown.class_id, feature]), shown.name
    _, unit = gallery.unit_of(feature)
    n, n_active = sheet.n, sheet.n_active[feature]
    return {
        "unit": unit,
        "page": pages.get(unit),
        "ks": f"{ks:.3f}",
        "active": f"{n_active / max(1, n):.3f}",
        "best": best,
        "title": f"unit {unit}: {best} {formats.signed(ks, 2)}, maximum above 0 in "
        f"{cards.percent(n_active, n)} of images",
    }


def _n_dead(sheet: Sheet) -> int:
    return sum(n == 0 for n in sheet.n_active.values())


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


def _extremes_grid(network: str, layer: str, extremes: pd.DataFrame, pages: Pages) -> Grid:
    def unit(row: dict[str, Any]) -> Cell:
        return Cell(str(row["unit"]), pages.get(row["unit"]), sort=row["unit"])

    def named(row: dict[str, Any]) -> Cell:
        name = str(row["class_name"])
        return Cell(name, names.class_page(network, row["dataset"], name))

    columns = [
        grid.linked("dataset", "dataset", lambda row: names.dataset_page(network, row["dataset"])),
        GridColumn("unit", unit, numeric=True),
        GridColumn("class", named, wide=True),
        grid.number("ks", "ks", 3, plus=True),
    ]
    caption = "The five highest and the five lowest distances of each dataset."
    ordered = extremes.sort_values(["dataset", "sign", "place"])
    return grid.make(caption, columns, ordered, names.data_file(network, "pairs", layer))

"""The page of one dataset by one network: its thresholds and its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from kdsspark import pixels
from kdsspark.report.data import NetworkInfo
from kdsspark.report.figures.panels import reach
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.report.parts import cards, class_map, formats, grid, names, sparkline
from kdsspark.report.parts.drawing import Figures, Wanted
from kdsspark.report.parts.grid import Cell, Grid, GridColumn
from kdsspark.report.parts.page import Page, files_of

_FIGURES: Final = ("figure9", "figure5")
_TOP: Final = 3  # features of a class at either end
_ROWS: Final = 60  # classes with pictures: two megabytes are the most that a page loads


def figures(row: dict[str, Any], frames: Mapping[str, pd.DataFrame]) -> list[Wanted]:
    """The figures of the page of the dataset in ``row``, without those that have no rows."""
    own = _own(row, frames)
    return [
        Wanted(name, own[name], _stem(row, name), data=False)
        for name in _FIGURES
        if not own[name].empty
    ]


def page(
    info: NetworkInfo,
    row: dict[str, Any],
    frames: Mapping[str, pd.DataFrame],
    galleries: Sequence[Gallery],
    drawn: Figures,
    of_pixels: pd.DataFrame,
) -> Page:
    """The page of the dataset in ``row``, a row of the query ``thresholds``.

    ``frames`` and ``galleries`` are those of its network. ``drawn`` has its :func:`figures`.
    ``of_pixels``: rows of ``class_extremes`` of the architecture ``pixels``, for another network's
    units to be seen beside.
    """
    network, dataset = str(row["network"]), str(row["dataset"])
    (gallery,) = (gallery for gallery in galleries if gallery.dataset == dataset)
    own = _own(row, frames)
    curves = _Curves(own["figure9"])
    classes = own["classes"].sort_values(["n_plus", "class_id"], ascending=[False, True])
    tops = {
        name: _tops(own["class_extremes"], sign, cards.unit_pages(galleries), info)
        for name, sign in (("plus", "+"), ("minus", "-"))
    }
    beside = _most_telling(of_pixels[of_pixels["dataset"] == dataset])
    table = _classes(classes, curves, tops, beside, names.data_file(network, "classes", dataset))
    figures = {name: drawn[_stem(row, name)] for name in _FIGURES if _stem(row, name) in drawn}
    rows, note = _rows(gallery)
    alike = class_map.draw(gallery, names.figure_stem(network, "map", dataset))
    return Page(
        path=names.dataset_page(network, dataset),
        template="dataset.html",
        values={
            "info": info,
            "row": row,
            "classes": table,
            "figures": figures,
            "rows": rows,
            "rows_note": note,
            "map": alike,
        },
        files=files_of(table, *figures.values(), *([alike] if alike else [])),
    )


def _own(row: dict[str, Any], frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        name: frame[frame["dataset"] == row["dataset"]]
        for name, frame in frames.items()
        if "dataset" in frame
    }


def _stem(row: dict[str, Any], name: str) -> str:
    return names.figure_stem(row["network"], name, row["dataset"])


def _rows(gallery: Gallery) -> tuple[list[dict[str, Any]], str]:
    """The classes in the order of the map, each with the unit that tells it best."""
    order = [c for c in gallery.order if c in gallery.by_id]
    rows = []
    for c in order[:_ROWS]:
        shown = gallery.by_id[c]
        best = cards.card(gallery, c, shown.present[0]) if shown.present else None
        rows.append(
            {
                **cards.class_link(gallery, c),
                "tiles": cards.tiles(shown, 3),
                "n_images": shown.n_images,
                "n_plus": shown.n_plus,
                "n_minus": shown.n_minus,
                "best": best,
            }
        )
    more = len(order) - len(rows)
    return rows, f"{more:,} more classes are in the table below." if more else ""


class _Curves:
    """The curves of figure 9 of one dataset, class by class, for small drawings."""

    def __init__(self, frame: pd.DataFrame) -> None:
        signed = frame.assign(x=frame["x"].where(frame["sign"] == "+", -frame["x"]))
        signed = signed[(signed["x"] != 0) | (signed["sign"] == "+")]
        wide = signed.pivot(index=["class_id", "labels"], columns="x", values="n_features")
        self._x = wide.columns.to_numpy(float)
        self._heights = dict(zip(wide.index, wide.to_numpy(float), strict=True))
        self._far = reach(frame["x"], frame["n_features"])
        self._top = float(np.nanmax(wide.to_numpy(float), initial=0.0))

    def drawing(self, class_id: int, name: str) -> str:
        """Features beyond x, above and below 0: the class, and the same class shuffled."""
        lines = {
            labels: self._heights[class_id, labels]
            for labels in ("shuffled", "true")
            if (class_id, labels) in self._heights
        }
        label = f"features of {name} beyond each distance"
        return sparkline.curves(self._x, lines, label, self._far, self._top)


def _tops(
    features: pd.DataFrame, sign: str, pages: Mapping[tuple[str, int], str], info: NetworkInfo
) -> dict[int, list[Cell]]:
    """class_id -> its strongest features at one end: ``conv5_3:17 0.82``, ``fc7:3 0.80``."""
    named = info["architecture"] == pixels.ARCHITECTURE
    rows = features[(features["sign"] == sign) & (features["place"] <= _TOP)]
    found: dict[int, list[Cell]] = {}
    for row in formats.rows(rows.sort_values(["class_id", "place"])):
        unit = pixels.NAMES[row["unit"]] if named else f"{row['layer']}:{row['unit']}"
        text = f"{unit}\u00a0{formats.number(row['ks'], 2)}"
        cell = Cell(text, pages.get((row["layer"], row["unit"])))
        found.setdefault(row["class_id"], []).append(cell)
    return found


def _most_telling(features: pd.DataFrame) -> dict[int, str]:
    """class_id -> the number of its images that tells it best: ``luminance 0.80``."""
    found: dict[int, tuple[float, str]] = {}
    for row in formats.rows(features[features["place"] == 1]):
        name = pixels.NAMES[row["unit"]]
        one = abs(row["ks"]), f"{name}\u00a0{formats.number(row['ks'], 2)}"
        found[row["class_id"]] = max(found.get(row["class_id"], one), one)
    return {class_id: text for class_id, (_, text) in found.items()}


def _classes(
    classes: pd.DataFrame,
    curves: _Curves,
    tops: Mapping[str, dict[int, list[Cell]]],
    beside: Mapping[int, str],
    path: str,
) -> Grid:
    """``tops``: plus and minus -> the strongest features of each class.

    ``beside``: what tells each class best without a network; empty where that is not known.
    """

    def strongest(heading: str, end: str) -> GridColumn:
        def cell(row: dict[str, Any]) -> Cell:
            parts = tops[end].get(row["class_id"], [])
            return Cell(parts=parts) if parts else Cell(formats.number(None))

        return GridColumn(heading, cell, wide=True)

    def drawing(row: dict[str, Any]) -> Cell:
        svg = curves.drawing(row["class_id"], str(row["class_name"]))
        return Cell(sort=row["class_id"], drawing=svg)

    def linked(row: dict[str, Any]) -> Cell:
        name = str(row["class_name"])
        return Cell(name, names.class_page(row["network"], row["dataset"], name))

    def pixel(row: dict[str, Any]) -> Cell:
        return Cell(beside.get(row["class_id"], formats.number(None)))

    columns = [
        GridColumn("class", linked, wide=True),
        grid.number("images", "images"),
        grid.number("features above t+", "n_plus"),
        grid.number("below t\u2212", "n_minus"),
        GridColumn("features beyond each distance", drawing),
        strongest("highest ks (layer:unit ks)", "plus"),
        strongest("lowest ks", "minus"),
    ]
    if beside:
        columns.append(GridColumn("without a network", pixel, wide=True))
    caption = (
        "Classes, by the number of features above t+. The small curves are those of figure 9: "
        "right of the middle they count features with ks above x, left of it those with ks below "
        "x; dashed with shuffled labels."
    )
    texts = {
        end: classes["class_id"].map({c: ", ".join(p.text for p in own) for c, own in of.items()})
        for end, of in tops.items()
    }
    if beside:
        caption += (
            " Without a network: the number of the images themselves that tells the class best."
        )
        texts["pixels"] = classes["class_id"].map(beside)
    return grid.make(caption, columns, classes.assign(**texts), path)

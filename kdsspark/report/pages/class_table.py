"""The table of a dataset's classes: counts, curves, and the features that tell a class best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from kdsspark import pixels
from kdsspark.report.data import NetworkInfo
from kdsspark.report.figures.panels import reach
from kdsspark.report.parts import formats, grid, names, sparkline
from kdsspark.report.parts.grid import Cell, Grid, GridColumn

_TOP: Final = 3  # features of a class at either end
_CAPTION: Final = (
    "Classes, by the number of features above t+. The small curves are those of figure 9: right of "
    "the middle they count features with ks above x, left of it those with ks below x; dashed with "
    "shuffled labels."
)
_CAPTION_BESIDE: Final = (
    " Without a network: the number of the images themselves that tells the class best."
)


def make(
    info: NetworkInfo,
    frames: Mapping[str, pd.DataFrame],
    pages: Mapping[tuple[str, int], str],
    of_pixels: pd.DataFrame,
    path: str,
) -> Grid:
    """The classes of one dataset, by the network ``info``.

    ``frames`` have only the rows of this dataset and network. ``pages``: layer and unit -> the page
    of the unit, where it has one. ``of_pixels``: rows of ``class_extremes`` of the architecture
    ``pixels``, perhaps none. ``path``: the file with all classes, for a table that is cut.
    """
    classes = frames["classes"].sort_values(["n_plus", "class_id"], ascending=[False, True])
    tops = {
        end: _tops(frames["class_extremes"], sign, pages, info)
        for end, sign in (("plus", "+"), ("minus", "-"))
    }
    texts = {
        end: classes["class_id"].map({c: ", ".join(p.text for p in own) for c, own in of.items()})
        for end, of in tops.items()
    }
    columns, caption = _columns(_Curves(frames["figure9"]), tops), _CAPTION
    if beside := _most_telling(of_pixels):
        columns.append(_column_beside(beside))
        caption += _CAPTION_BESIDE
        texts["pixels"] = classes["class_id"].map(beside)
    return grid.make(caption, columns, classes.assign(**texts), path)


def _columns(curves: _Curves, tops: Mapping[str, dict[int, list[Cell]]]) -> list[GridColumn]:
    """``tops``: plus and minus -> the strongest features of each class."""

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

    return [
        GridColumn("class", linked, wide=True),
        grid.number("images", "images"),
        grid.number("features above t+", "n_plus"),
        grid.number("below t\u2212", "n_minus"),
        GridColumn("features beyond each distance", drawing),
        strongest("highest ks (layer:unit ks)", "plus"),
        strongest("lowest ks", "minus"),
    ]


def _column_beside(beside: Mapping[int, str]) -> GridColumn:
    """``beside``: class_id -> what tells the class best without a network."""

    def cell(row: dict[str, Any]) -> Cell:
        return Cell(beside.get(row["class_id"], formats.number(None)))

    return GridColumn("without a network", cell, wide=True)


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

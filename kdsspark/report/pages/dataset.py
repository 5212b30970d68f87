"""The page of one dataset by one network: its thresholds and its classes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from kdsspark.report import formats, grid, names, sparkline
from kdsspark.report.figures.panels import reach
from kdsspark.report.grid import Cell, Column, Grid
from kdsspark.report.pages.drawing import csv, draw

_FIGURES: Final = ("figure9", "figure5")
_TOP: Final = 3  # features of a class at either end


def context(
    row: dict[str, Any], frames: dict[str, pd.DataFrame], files: dict[str, bytes]
) -> dict[str, Any]:
    """What the template shows; adds the dataset's figures and CSV to ``files``.

    ``row`` is the dataset's of ``thresholds``, ``frames`` the rows of its network.
    """
    network, dataset = str(row["network"]), str(row["dataset"])
    own = {
        name: frame[frame["dataset"] == dataset]
        for name, frame in frames.items()
        if "dataset" in frame
    }
    curves = _Curves(own["figure9"])
    classes = own["classes"].sort_values(["n_plus", "class_id"], ascending=[False, True])
    classes = classes.assign(
        plus=classes["class_id"].map(_tops(own["top_features"], "+")),
        minus=classes["class_id"].map(_tops(own["top_features"], "-")),
    )
    path = names.data_file(network, "classes", dataset)
    files[path] = csv(classes)
    return {
        "row": row,
        "classes": _classes(classes, curves, path),
        "figures": {
            name: draw(name, own[name], files, names.figure_stem(network, name, dataset), False)
            for name in _FIGURES
            if not own[name].empty
        },
    }


class _Curves:
    """The curves of figure 9 of one dataset, class by class, ready to be drawn small."""

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


def _tops(features: pd.DataFrame, sign: str) -> dict[int, str]:
    """class_id -> its strongest features at one end: ``conv5_3:17 0.82, fc7:3 0.80``."""
    rows = features[(features["sign"] == sign) & (features["place"] <= _TOP)]
    rows = rows.sort_values(["class_id", "place"])
    texts = [
        f"{layer}:{unit}\u00a0{formats.number(ks, 2)}"
        for layer, unit, ks in zip(rows["layer"], rows["unit"], rows["ks"], strict=True)
    ]
    grouped = pd.Series(texts, index=rows["class_id"].to_numpy(), dtype=object).groupby(level=0)
    return {int(str(class_id)): ", ".join(group) for class_id, group in grouped}


def _classes(classes: pd.DataFrame, curves: _Curves, path: str) -> Grid:
    def drawing(row: dict[str, Any]) -> Cell:
        svg = curves.drawing(row["class_id"], formats.class_name(row))
        return Cell(sort=row["class_id"], drawing=svg)

    columns = [
        Column("class", lambda row: Cell(formats.class_name(row)), wide=True),
        grid.number("images", "images"),
        grid.number("features above t+", "n_plus"),
        grid.number("below t\u2212", "n_minus"),
        Column("features beyond each distance", drawing),
        grid.text("highest ks (layer:unit ks)", "plus", wide=True),
        grid.text("lowest ks", "minus", wide=True),
    ]
    caption = (
        "Classes, by the number of features above t+. The small curves are those of figure 9: "
        "features with ks above x right of the middle, below x left of it; dashed with shuffled "
        "labels."
    )
    return grid.make(caption, columns, classes, path)

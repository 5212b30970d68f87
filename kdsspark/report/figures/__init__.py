"""The paper's figures 1, 5, 6, 8 to 11, and davg(x), as functions of tables.

``figureN(frame)`` takes the result of the query of that name (:mod:`kdsspark.report.queries`) for
one network and returns a :class:`matplotlib.figure.Figure`. The functions that draw one panel
take the axes and return the artists. Nothing here writes a file. Datasets come in the paper's
order, by images per class, and layers in the order of the network. Whatever differs by colour also
differs by line style, marker, hatch or weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pandas as pd

from kdsspark.report.figures.curves import davg, figure9
from kdsspark.report.figures.disagreement import disagreement
from kdsspark.report.figures.distribution import figure6, figure8
from kdsspark.report.figures.feature_class import figure1
from kdsspark.report.figures.layers import figure5, figure10

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "disagreement", "figure1", "figure_data"]

FIGURES: Final[dict[str, Callable[[pd.DataFrame], Figure]]] = {
    "davg": davg,
    "figure5": figure5,
    "figure6": figure6,
    "figure8": figure8,
    "figure9": figure9,
    "figure10": figure10,
}
"""Every figure of a whole network by name, in the order of the page."""


def figure_data(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The data of a figure's CSV: its frame, but for figure 9 one row per curve.

    A thousand classes have 400,000 points, which one column per x turns into 4,000 rows.
    """
    if name != "figure9":
        return frame
    keys = ["network", "dataset", "labels", "class_id", "sign"]
    wide = frame.pivot(index=keys, columns="x", values="n_features")
    wide = wide.rename(columns=lambda x: f"x={x:.2f}").reset_index()
    limits = frame[["network", "dataset", "t_plus", "t_minus"]].drop_duplicates()
    return wide.merge(limits, on=["network", "dataset"])

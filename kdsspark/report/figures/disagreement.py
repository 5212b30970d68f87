"""Features and classes on which ks and another distance disagree, each drawn as figure 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, VERMILION
from kdsspark.report.figures.feature_class import cumulative, curves_of, densities, distance_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@canvas.styled
def disagreement(frame: pd.DataFrame) -> Figure:
    """A row of panels for each feature and class: densities, then cumulative curves with ks.

    ``frame``: the rows of :attr:`kdsspark.report.data.Disagreements.bins` of one distance.
    """
    keys = ["dataset", "layer", "unit", "class_id"]
    shown = [rows for _, rows in frame.groupby(keys, sort=False)]
    figure = canvas.blank(canvas.WIDTH, 2.5 * len(shown) + 0.5)
    axes = figure.subplots(len(shown), 2, squeeze=False, sharex="row")
    for (left, right), rows in zip(axes, shown, strict=True):
        first, curves = rows.iloc[0], curves_of(rows)
        densities(left, curves)
        cumulative(right, curves, *distance_of(rows))
        left.set_title(
            f"{first['distance'].replace('_', ' ')} {canvas.decimal(first['value'])}: "
            f"above {100 * first['rank']:.1f} % of the pairs",
            loc="left",
        )
        right.set_title(
            f"ks {canvas.decimal(first['ks'])}: above {100 * first['rank_ks']:.1f} %", loc="left"
        )
        left.set_xlabel(canvas.shorten(f"{first['layer']}, unit {first['unit']}", 50))
        right.set_xlabel(canvas.shorten(f"{first['class_name']} of {first['dataset']}", 50))
    canvas.legend(figure, canvas.key("the class", BLUE), canvas.key("all others", VERMILION, "--"))
    return figure

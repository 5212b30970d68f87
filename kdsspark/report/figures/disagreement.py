"""Two pairs that ks and another distance see differently, each drawn as the paper's figure 1."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kdsspark.report import canvas
from kdsspark.report.canvas import BLUE, VERMILION
from kdsspark.report.figures.pair import cumulative, densities, pair_curves, pair_distance


@canvas.styled
def disagreement(frame: pd.DataFrame) -> Figure:
    """A row of panels for each pair: densities, then cumulative curves with the gap that is ks.

    ``frame`` has a row per bin of each pair: the columns of
    :func:`kdsspark.report.disagreements.widest` for one distance, and lo, hi, inner, outer as of
    :func:`kdsspark.report.figures.pair.pair_curves`.
    """
    keys = ["dataset", "layer", "unit", "class_id"]
    pairs = [rows for _, rows in frame.groupby(keys, sort=False)]
    figure = Figure(figsize=(canvas.WIDTH, 2.5 * len(pairs) + 0.5), layout="constrained")
    axes = figure.subplots(len(pairs), 2, squeeze=False, sharex="row")
    for (left, right), rows in zip(axes, pairs, strict=True):
        first, curves = rows.iloc[0], pair_curves(rows)
        densities(left, curves)
        cumulative(right, curves, *pair_distance(rows))
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

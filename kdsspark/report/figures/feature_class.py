"""Figure 1 of the paper: one feature, inside one class and outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, GREY, INK, VERMILION

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves_of(bins: pd.DataFrame) -> pd.DataFrame:
    """The bins of a feature and class with densities and cumulative shares, a row per bin.

    ``bins``: lo, hi, inner, outer (numbers of images). Adds density_inner and density_outer
    (shares per unit of the activation, or per bin where all values are equal) and
    cumulative_inner and cumulative_outer (0 to 1). NaN where a side has no image.
    """
    width = (bins["hi"] - bins["lo"]).where(lambda w: w > 0, 1.0)
    curves = bins.copy()
    for side in ("inner", "outer"):
        share = bins[side] / (bins[side].sum() or np.nan)
        curves[f"density_{side}"] = share / width
        curves[f"cumulative_{side}"] = share.cumsum()
    return curves


def distance_of(bins: pd.DataFrame) -> tuple[float, int]:
    """The signed distance of a feature and class (paper equation 3), and the bin of the gap.

    NaN and -1 where a side has no image.
    """
    from kdsspark.stats.ks import binned_ks  # takes a while, which other figures do without

    both = bins[["inner", "outer"]].to_numpy(np.int32).T[np.newaxis]
    distances = binned_ks(np.ascontiguousarray(both))
    return float(distances.ks[0, 0]), int(distances.bin[0, 0])


def densities(ax: Axes, curves: pd.DataFrame) -> list[Artist]:
    """The density inside the class, hatched, and outside, a dashed outline."""
    edges = [*curves["lo"], curves["hi"].iloc[-1]]
    inner = ax.stairs(
        curves["density_inner"],
        edges,
        fill=True,
        facecolor="#0072b240",
        edgecolor=BLUE,
        hatch="////",
        linewidth=0.8,
    )
    outer = ax.stairs(
        curves["density_outer"], edges, color=VERMILION, linestyle="--", linewidth=1.4
    )
    return [inner, outer]


def cumulative(ax: Axes, curves: pd.DataFrame, ks: float, at: int) -> list[Artist]:
    """Both cumulative curves, and the gap ``ks`` at the end of bin ``at`` as an upright."""
    edges = [curves["lo"].iloc[0], *curves["hi"]]
    artists: list[Artist] = []
    for side, colour, style in (("inner", BLUE, "-"), ("outer", VERMILION, "--")):
        heights = [0.0, *curves[f"cumulative_{side}"]]
        artists += ax.plot(edges, heights, style, color=colour, linewidth=1.5)
    if at >= 0:
        x = float(curves["hi"].iloc[at])
        ends = [float(curves[f"cumulative_{side}"].iloc[at]) for side in ("inner", "outer")]
        artists += ax.plot([x, x], ends, color=INK, linewidth=1.6, marker="_", markersize=8)
        text = f"ks = {canvas.decimal(ks)}"
        artists.append(ax.text(0.97, 0.05, text, transform=ax.transAxes, ha="right"))
    ax.set_ylim(0, 1.02)
    return artists


@canvas.styled
def figure1(bins: pd.DataFrame, unit: str) -> Figure:
    """Densities on the left, cumulative curves with the gap on the right.

    ``bins`` as for :func:`curves_of`; ``unit`` names the feature on the axis.
    """
    curves, (ks, at) = curves_of(bins), distance_of(bins)
    figure = canvas.blank(canvas.WIDTH, 3.2)
    left, right = figure.subplots(1, 2, sharex=True)
    left.set_title("density", loc="left")
    right.set_title("cumulative", loc="left")
    densities(left, curves)
    cumulative(right, curves, ks, at)
    left.axhline(0, color=GREY, linewidth=0.7)
    figure.supxlabel(f"value of {canvas.shorten(unit, 60)}")
    inner = canvas.key(f"the class: {curves['inner'].sum():,} images", BLUE)
    outer = canvas.key(f"all others: {curves['outer'].sum():,} images", VERMILION, "--")
    canvas.legend(figure, inner, outer)
    return figure

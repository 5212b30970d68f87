"""Figure 1 of the paper: one (feature, class) pair, inside the class and outside of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdsspark.report import canvas
from kdsspark.report.canvas import BLUE, GREY, INK, VERMILION
from kdsspark.stats.ks import binned_ks


def pair_curves(bins: pd.DataFrame) -> pd.DataFrame:
    """Densities and cumulative shares of a pair, a row per bin.

    ``bins``: lo, hi, inner, outer (numbers of images). Added are density_inner and
    density_outer (shares per unit of the activation; of the bin itself where all values are
    equal), cumulative_inner and cumulative_outer (0 to 1). NaN where a side has no image.
    """
    width = (bins["hi"] - bins["lo"]).where(lambda w: w > 0, 1.0)
    curves = bins.copy()
    for side in ("inner", "outer"):
        share = bins[side] / (bins[side].sum() or np.nan)
        curves[f"density_{side}"] = share / width
        curves[f"cumulative_{side}"] = share.cumsum()
    return curves


def pair_distance(bins: pd.DataFrame) -> tuple[float, int]:
    """The signed distance of a pair (paper equation 3) and the bin where the gap is.

    NaN and -1 where a side has no image.
    """
    both = bins[["inner", "outer"]].to_numpy(np.int32).T[np.newaxis]
    found = binned_ks(np.ascontiguousarray(both))
    return float(found.ks[0, 0]), int(found.bin[0, 0])


def densities(ax: Axes, curves: pd.DataFrame) -> list[Artist]:
    """Inner-class density, hatched, and outer-class density, a dashed outline."""
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
    """Both cumulative curves, and the gap ``ks`` behind bin ``at`` as an upright."""
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

    ``bins`` as of :func:`pair_curves`; ``unit`` names the feature on the axis.
    """
    curves, (ks, at) = pair_curves(bins), pair_distance(bins)
    figure = Figure(figsize=(canvas.WIDTH, 3.2), layout="constrained")
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

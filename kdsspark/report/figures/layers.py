"""Figures 5, 10 and 11 of the paper: the layers of a network, for each dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, GREEN, GREY, VERMILION, key
from kdsspark.report.figures.panels import layer_panels, marker_size

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def layer_spread(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Mode and central 68 % of the distances of each layer, ks > 0 upwards, ks < 0 downwards.

    ``frame``: depth, sign, mode, low, high of one dataset, one row per layer and sign (paper
    figure 5). Mode and bar are drawn apart, because the mode of a wide log-normal may lie below
    its bar.
    """
    artists: list[Artist] = []
    for sign, factor, colour, marker in (("+", 1, BLUE, "o"), ("-", -1, VERMILION, "v")):
        rows = frame[frame["sign"] == sign].dropna(subset=["mode", "low", "high"])
        x = rows["depth"].to_numpy(float)
        low, mode, high = (factor * rows[c].to_numpy(float) for c in ("low", "mode", "high"))
        face, size = colour if sign == "+" else "white", marker_size(x)
        artists.append(ax.vlines(x, low, high, color=colour, linewidth=size / 2 + 0.5, alpha=0.45))
        artists += ax.plot(x, mode, marker, color=colour, markerfacecolor=face, markersize=size)
    artists.append(ax.axhline(0, color=GREY, linewidth=0.7))
    return artists


def layer_kept(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Percent of the distances of each layer beyond the thresholds (paper figure 10).

    ``frame``: depth, labels, kept (0 to 1) of one dataset, one row per layer and labels.
    """
    artists: list[Artist] = []
    for labels, colour, style in (("true", BLUE, "o-"), ("shuffled", GREEN, "s--")):
        rows = frame[frame["labels"] == labels].dropna(subset=["kept"]).sort_values("depth")
        x, percent = rows["depth"].to_numpy(float), 100 * rows["kept"].to_numpy(float)
        face, size = colour if labels == "true" else "white", marker_size(x)
        artists += ax.plot(
            x, percent, style, color=colour, markerfacecolor=face, markersize=size, linewidth=1.1
        )
    return artists


@canvas.styled
def figure5(frame: pd.DataFrame) -> Figure:
    """Modes and spreads of layers; one panel per dataset. Figure 11 is another source network's."""
    figure = layer_panels(frame, layer_spread, "mode")
    figure.axes[0].yaxis.set_major_formatter(canvas.signed)
    figure.supylabel("ks: mode and central 68 %")
    canvas.legend(figure, key("ks > 0", BLUE, "", "o"), key("ks < 0", VERMILION, "", "v"))
    return figure


@canvas.styled
def figure10(frame: pd.DataFrame) -> Figure:
    """Percent of the distances kept in each layer; one panel per dataset."""
    figure = layer_panels(frame, layer_kept, "kept")
    figure.axes[0].set_ylim(bottom=0)
    figure.supylabel("% of the pairs kept")
    true, shuffled = key("true labels", BLUE, "-", "o"), key("shuffled labels", GREEN, "--", "s")
    canvas.legend(figure, true, shuffled)
    return figure

"""Figure 9 of the paper, and davg(x), whose maxima are the thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, DASHES, INK, RED, VERMILION, key
from kdsspark.report.figures.panels import dataset_panels, reach

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def class_curves(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Features beyond x for each class, thin lines, and their mean, a thick one (paper figure 9).

    ``frame``: labels, class_id, sign, x, n_features, t_plus, t_minus of one dataset. The curve of
    sign ``-`` counts features with ks below -x and stands at -x. The height between the two means
    is the davg of the paper's equation 4, exactly so for one permutation. Thin lines are
    rasterised, because there may be thousands; a white rim sets the means off.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    artists: list[Artist] = []
    for labels, colour, style in (("true", INK, "-"), ("shuffled", RED, DASHES)):
        for sign, factor in (("+", 1), ("-", -1)):
            rows = frame[(frame["labels"] == labels) & (frame["sign"] == sign)]
            curves = rows.pivot(index="class_id", columns="x", values="n_features")
            x, heights = factor * curves.columns.to_numpy(float), curves.to_numpy(float)
            if not len(heights):
                continue
            thin = LineCollection(
                [np.column_stack([x, height]) for height in heights],
                colors=colour,
                linewidths=0.6,
                alpha=float(np.clip(2 / np.sqrt(len(heights)), 0.06, 0.5)),
            )
            thin.set_rasterized(True)
            artists.append(ax.add_collection(thin))
            artists += ax.plot(
                x,
                heights.mean(axis=0),
                color=colour,
                linestyle=style,
                linewidth=1.7,
                path_effects=[withStroke(linewidth=3.2, foreground="white")],
            )
    for threshold in frame[["t_plus", "t_minus"]].iloc[0].dropna():
        artists.append(ax.axvline(threshold, color=INK, linestyle=(0, (5, 3)), linewidth=1))
    return artists


def davg_curves(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """davg(x) for both signs, with marks at the maxima t+ and -t- (paper equation 4).

    ``frame``: sign, x, davg, and t_plus, davg_plus, t_minus, davg_minus of one dataset.
    """
    artists: list[Artist] = []
    best = frame.iloc[0]
    for sign, name, style, colour, marker in (
        ("+", "plus", "-", BLUE, "o"),
        ("-", "minus", "--", VERMILION, "v"),
    ):
        rows = frame[frame["sign"] == sign].sort_values("x")
        x, heights = rows["x"].to_numpy(float), rows["davg"].to_numpy(float)
        face = colour if sign == "+" else "white"
        top = ([abs(best[f"t_{name}"])], [best[f"davg_{name}"]])
        artists += ax.plot(x, heights, style, color=colour, linewidth=1.3)
        artists += ax.plot(*top, marker, color=colour, mfc=face, markersize=5, zorder=3)
    text = (
        f"t+ = {best['t_plus']:.3f}: {best['davg_plus']:,.0f}\n"
        f"t\u2212 = \u2212{abs(best['t_minus']):.3f}: {best['davg_minus']:,.0f}"
    )
    artists.append(ax.text(0.97, 0.97, text, transform=ax.transAxes, ha="right", va="top"))
    return artists


@canvas.styled
def figure9(frame: pd.DataFrame) -> Figure:
    """Survival curves of every class, both signs; one panel per dataset."""
    figure = dataset_panels(frame, 2.1, class_curves, "n_features")
    far = reach(frame["x"], frame["n_features"])
    figure.axes[0].set_xlim(-far, far)
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[0].yaxis.set_major_formatter(canvas.thousands)
    figure.axes[0].xaxis.set_major_formatter(canvas.signed)
    figure.supxlabel("x")
    figure.supylabel("features beyond x")
    canvas.legend(
        figure,
        key("true (thick: mean)", INK, width=1.7),
        key("shuffled (thick: mean)", RED, DASHES, width=1.7),
        key("t\u2212 and t+", INK, (0, (5, 3)), width=1),
    )
    return figure


@canvas.styled
def davg(frame: pd.DataFrame) -> Figure:
    """davg(x), whose maxima are the thresholds; one panel per dataset."""
    figure = dataset_panels(frame, 1.8, davg_curves, "t_plus")
    low, high = figure.axes[0].get_ylim()
    figure.axes[0].set_ylim(low, high + 0.35 * (high - low))  # the text stands above the curves
    figure.axes[0].set_xlim(0, reach(frame["x"], frame["davg"].abs()))
    figure.axes[0].yaxis.set_major_formatter(canvas.thousands)
    figure.supxlabel("x")
    figure.supylabel("davg(x), in features")
    plus, minus = key("ks above x", BLUE, "-", "o"), key("\u2212ks above x", VERMILION, "--", "v")
    canvas.legend(figure, plus, minus)
    return figure

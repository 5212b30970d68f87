"""The paper's figures 5, 6, 9 and 10, and davg(x), as functions of tables.

``figureN(frame)`` takes the result of the query of that name (:mod:`kdsspark.report.queries`) for
one network and returns a :class:`matplotlib.figure.Figure`; the functions that draw one panel
take the axes and return the artists. Nothing here writes a file. Panels come in the order of the
datasets' names, layers in the order of the network. Every distinction of colour is also one of
line style, marker or weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kdsspark.report import canvas
from kdsspark.report.canvas import BLUE, DASHES, GREEN, GREY, INK, RED, VERMILION, key

KINDS: Final = {"conv": "convolutional", "fc": "fully connected", "other": "other layers"}


def layer_spread(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Mode and central 68 % of the distances per layer, ks > 0 upwards, ks < 0 downwards.

    ``frame``: depth, sign, mode, low, high of one dataset, one row per layer and sign (paper
    figure 5). The mode of a wide log-normal may lie below its bar, so the two are drawn apart.
    """
    artists: list[Artist] = []
    for sign, factor, colour, marker in (("+", 1, BLUE, "o"), ("-", -1, VERMILION, "v")):
        rows = frame[frame["sign"] == sign].dropna(subset=["mode", "low", "high"])
        x = rows["depth"].to_numpy(float)
        low, mode, high = (factor * rows[c].to_numpy(float) for c in ("low", "mode", "high"))
        face, size = colour if sign == "+" else "white", _marker_size(x)
        artists.append(ax.vlines(x, low, high, color=colour, linewidth=size / 2 + 0.5, alpha=0.45))
        artists += ax.plot(x, mode, marker, color=colour, markerfacecolor=face, markersize=size)
    artists.append(ax.axhline(0, color=GREY, linewidth=0.7))
    return artists


def layer_kept(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Share of the pairs of each layer beyond the thresholds, in percent (paper figure 10).

    ``frame``: depth, labels, kept (0 to 1) of one dataset, one row per layer and labels.
    """
    artists: list[Artist] = []
    for labels, colour, style in (("true", BLUE, "o-"), ("shuffled", GREEN, "s--")):
        rows = frame[frame["labels"] == labels].dropna(subset=["kept"]).sort_values("depth")
        x, percent = rows["depth"].to_numpy(float), 100 * rows["kept"].to_numpy(float)
        face, size = colour if labels == "true" else "white", _marker_size(x)
        artists += ax.plot(
            x, percent, style, color=colour, markerfacecolor=face, markersize=size, linewidth=1.1
        )
    return artists


def class_curves(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Features beyond x for each class: thin lines, their mean thick (paper figure 9).

    ``frame``: labels, class_id, sign, x, n_features, t_plus, t_minus of one dataset. The curve
    of sign ``-`` counts features with ks below -x and is drawn at -x. The height between the two
    means is the davg of the paper's equation 4 (exactly so for one permutation). The thin lines
    are rasterised, for there may be thousands.
    """
    artists: list[Artist] = []
    for labels, colour, style in (("true", BLUE, "-"), ("shuffled", RED, DASHES)):
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
                x, heights.mean(axis=0), color=colour, linestyle=style, linewidth=1.7
            )
    for threshold in frame[["t_plus", "t_minus"]].iloc[0].dropna():
        artists.append(ax.axvline(threshold, color=INK, linestyle=(0, (5, 3)), linewidth=1))
    return artists


def davg_curves(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """davg(x) for both signs, with their maxima marked: t+ and -t- (paper equation 4).

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


def ks_distribution(
    ax: Axes, frame: pd.DataFrame, styles: dict[str, dict[str, Any]]
) -> list[Artist]:
    """One line per dataset: percent of the pairs in each bin of ks (paper figure 6).

    ``frame``: dataset, lo, hi, percent of one kind of layer; ``styles``: plot arguments of each
    dataset. Features that never fire put their pairs at exactly 0: where that bin stands out,
    the axis is cut above the others and a note says so.
    """
    artists: list[Artist] = []
    for dataset, rows in frame.sort_values("lo").groupby("dataset"):
        middle = (rows["lo"].to_numpy(float) + rows["hi"].to_numpy(float)) / 2
        artists += ax.plot(middle, rows["percent"].to_numpy(float), **styles[str(dataset)])
    at_zero = (frame["lo"] <= 0) & (frame["hi"] > 0)
    tallest, others = frame["percent"].max(), frame.loc[~at_zero, "percent"].max()
    ax.set_ylim(0, 1.08 * tallest)
    if tallest > 1.5 * others > 0:
        ax.set_ylim(0, 1.15 * others)
        note = f"the bin at 0 goes\nup to {tallest:.1f} %"
        artists.append(ax.text(0.02, 0.97, note, transform=ax.transAxes, va="top"))
    return artists


@canvas.styled
def figure5(frame: pd.DataFrame) -> Figure:
    """Modes and spreads per layer; one panel per dataset."""
    figure = _layer_panels(frame, layer_spread, "mode")
    figure.axes[0].yaxis.set_major_formatter(canvas.signed)
    figure.supylabel("ks: mode and central 68 %")
    canvas.legend(figure, key("ks > 0", BLUE, "", "o"), key("ks < 0", VERMILION, "", "v"))
    return figure


@canvas.styled
def figure6(frame: pd.DataFrame) -> Figure:
    """Distribution of ks; one panel per kind of layer that has any pairs."""
    seen = frame.dropna(subset=["percent"])
    kinds = [kind for kind in KINDS if (seen["kind"] == kind).any()]
    styles = {str(n): canvas.line_style(i) for i, n in enumerate(sorted(set(frame["dataset"])))}
    figure, axes = canvas.panels([KINDS[kind] for kind in kinds] or [""], 3.2, share=False)
    for ax, kind in zip(axes, kinds, strict=False):
        ks_distribution(ax, seen[seen["kind"] == kind], styles)
    if not kinds:
        canvas.nothing(axes[0])
    reach = _reach(seen["hi"], seen["percent"])
    axes[0].set_xlim(-reach, reach)
    axes[0].xaxis.set_major_formatter(canvas.signed)
    figure.supxlabel("ks")
    figure.supylabel("% of the pairs")
    drawn = set(seen["dataset"])
    entries = [key(name, **_of_key(style)) for name, style in styles.items() if name in drawn]
    canvas.legend(figure, *entries)
    return figure


@canvas.styled
def figure9(frame: pd.DataFrame) -> Figure:
    """Survival curves of every class, both signs; one panel per dataset."""
    figure = _dataset_panels(frame, 2.1, class_curves, "n_features")
    reach = _reach(frame["x"], frame["n_features"])
    figure.axes[0].set_xlim(-reach, reach)
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[0].yaxis.set_major_formatter(canvas.thousands)
    figure.axes[0].xaxis.set_major_formatter(canvas.signed)
    figure.supxlabel("x")
    figure.supylabel("features beyond x")
    canvas.legend(
        figure,
        key("true (thick: mean)", BLUE, width=1.7),
        key("shuffled (thick: mean)", RED, DASHES, width=1.7),
        key("t\u2212 and t+", INK, (0, (5, 3)), width=1),
    )
    return figure


@canvas.styled
def figure10(frame: pd.DataFrame) -> Figure:
    """Share of pairs kept per layer; one panel per dataset."""
    figure = _layer_panels(frame, layer_kept, "kept")
    figure.axes[0].set_ylim(bottom=0)
    figure.supylabel("% of the pairs kept")
    true, shuffled = key("true labels", BLUE, "-", "o"), key("shuffled labels", GREEN, "--", "s")
    canvas.legend(figure, true, shuffled)
    return figure


@canvas.styled
def davg(frame: pd.DataFrame) -> Figure:
    """davg(x), from which the thresholds are read; one panel per dataset."""
    figure = _dataset_panels(frame, 1.8, davg_curves, "t_plus")
    low, high = figure.axes[0].get_ylim()
    figure.axes[0].set_ylim(low, high + 0.35 * (high - low))  # the text stands above the curves
    figure.axes[0].set_xlim(0, _reach(frame["x"], frame["davg"].abs()))
    figure.axes[0].yaxis.set_major_formatter(canvas.thousands)
    figure.supxlabel("x")
    figure.supylabel("davg(x), in features")
    plus, minus = key("ks above x", BLUE, "-", "o"), key("\u2212ks above x", VERMILION, "--", "v")
    canvas.legend(figure, plus, minus)
    return figure


FIGURES: Final[dict[str, Callable[[pd.DataFrame], Figure]]] = {
    "davg": davg,
    "figure5": figure5,
    "figure6": figure6,
    "figure9": figure9,
    "figure10": figure10,
}
"""Every figure, by the name of its query, in the order of the page."""

_Panel = Callable[[Axes, pd.DataFrame], list[Artist]]


def _dataset_panels(frame: pd.DataFrame, height: float, draw: _Panel, needed: str) -> Figure:
    """One panel per dataset; where the column ``needed`` is nowhere above 0, it says so."""
    groups = {str(name): rows for name, rows in frame.groupby("dataset")}
    figure, axes = canvas.panels(list(groups), height)
    for ax, rows in zip(axes, groups.values(), strict=True):
        if (rows[needed].astype(float) > 0).any():
            draw(ax, rows)
        else:
            canvas.nothing(ax)
    return figure


def _layer_panels(frame: pd.DataFrame, draw: _Panel, needed: str) -> Figure:
    figure = _dataset_panels(frame, 1.9, draw, needed)
    layers = frame[["depth", "layer", "kind"]].drop_duplicates().sort_values("depth")
    depths, names, kinds = (layers[column].tolist() for column in ("depth", "layer", "kind"))
    room = {1: 34, 2: 24}.get(len(figure.axes), 17)
    for ax in figure.axes:
        canvas.layer_axis(ax, depths, names, kinds, room)
    return figure


def _marker_size(x: np.ndarray) -> float:
    return 4.0 if len(x) <= 20 else 2.2


def _reach(x: pd.Series[float], height: pd.Series[float]) -> float:
    """The largest |x| where anything is higher than 0.5 % of the highest, and a little more."""
    seen = x[height > 0.005 * height.max()].abs()
    return min(1.0, 1.05 * float(seen.max())) if len(seen) else 1.0


def _of_key(style: dict[str, Any]) -> dict[str, Any]:
    return {"color": style["color"], "line": style["linestyle"], "marker": style["marker"]}

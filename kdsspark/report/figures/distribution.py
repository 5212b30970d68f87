"""Figures 6 and 8 of the paper: the distribution of ks over all features and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import key
from kdsspark.report.figures.panels import datasets_in_order, reach

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS: Final = {"conv": "convolutional", "fc": "fully connected", "other": "other layers"}

_STEPS: Final = 10  # smallest differences of ks that one point of a curve covers

_Styles = dict[str, dict[str, Any]]


def ks_distribution(ax: Axes, frame: pd.DataFrame, styles: _Styles) -> list[Artist]:
    """One line per dataset: percent of its distances in each bin of ks (paper figure 6).

    ``frame``: dataset, n_images, lo, hi, percent of one kind of layer; ``styles``: plot arguments
    of each dataset. Features that never fire have distances of exactly 0. Where their bin stands
    out, the axis ends above the other bins, and a note tells the height.
    """
    artists: list[Artist] = []
    tallest = others = 0.0
    for dataset, rows in frame.sort_values("lo").groupby("dataset"):
        middle = (rows["lo"].to_numpy(float) + rows["hi"].to_numpy(float)) / 2
        percent = _smoothed(rows)
        artists += ax.plot(middle, percent, **styles[str(dataset)])
        tallest = max(tallest, percent.max())
        others = max(others, percent[~_at_zero(rows)].max())
    ax.set_ylim(0, 1.08 * tallest)
    if tallest > 1.5 * others > 0:
        ax.set_ylim(0, 1.15 * others)
        note = f"the bin at 0 goes\nup to {tallest:.1f} %"
        artists.append(ax.text(0.02, 0.97, note, transform=ax.transAxes, va="top"))
    return artists


def _smoothed(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Percent in each bin of one dataset; below a thousand images a moving average.

    Distances within N images differ by about 1/N at least. Bins that cover few such steps, or
    none, would draw a comb, so each point averages over ten steps. The bin at 0 keeps its value
    and takes no part in the averages.
    """
    percent = rows["percent"].to_numpy(float)
    steps = (rows["n_images"] * (rows["hi"] - rows["lo"])).iloc[0]  # in one bin
    apart = pd.Series(np.where(_at_zero(rows), np.nan, percent))
    bins = 2 * round(_STEPS / steps / 2 - 0.5) + 1
    mean = apart.rolling(bins, center=True, min_periods=1).mean()
    return np.where(_at_zero(rows), percent, mean)


def _at_zero(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return ((rows["lo"] <= 0) & (rows["hi"] > 0)).to_numpy(bool)


@canvas.styled
def figure6(frame: pd.DataFrame) -> Figure:
    """Distribution of ks; one panel per kind of layer with distances, convolutional on top."""
    seen = frame.dropna(subset=["percent"])
    kinds = {kind: seen[seen["kind"] == kind] for kind in KINDS}
    return _stacked({KINDS[kind]: rows for kind, rows in kinds.items() if len(rows)}, frame)


@canvas.styled
def figure8(frame: pd.DataFrame) -> Figure:
    """Distribution of ks in fully connected layers; one panel per group of datasets.

    ``frame`` is that of figure 6 with a column ``group``, for datasets with a group.
    """
    seen = frame[frame["kind"] == "fc"].dropna(subset=["percent"])
    groups = {str(group): rows for group, rows in seen.groupby("group")}
    titles = {f"({group})" if len(group) == 1 else group: group for group in groups}
    return _stacked({title: groups[group] for title, group in titles.items()}, frame)


def _stacked(parts: dict[str, pd.DataFrame], frame: pd.DataFrame) -> Figure:
    """One panel per part; a dataset has the same line in all panels."""
    styles = {name: canvas.line_style(i) for i, name in enumerate(datasets_in_order(frame))}
    figure, axes = canvas.stack(list(parts) or [""], 2.5, canvas.WIDTH)
    for ax, rows in zip(axes, parts.values(), strict=False):
        ks_distribution(ax, rows, styles)
    if not parts:
        canvas.nothing(axes[0])
    drawn = pd.concat(parts.values()) if parts else frame.iloc[:0]
    far = reach(drawn["hi"], drawn["percent"])
    axes[0].set_xlim(-far, far)
    axes[0].xaxis.set_major_formatter(canvas.signed)
    figure.supxlabel("ks")
    figure.supylabel("% of the pairs")
    names = set(drawn["dataset"])
    entries = [key(name, **_of_key(style)) for name, style in styles.items() if name in names]
    canvas.legend(figure, *entries)
    return figure


def _of_key(style: dict[str, Any]) -> dict[str, Any]:
    return {"color": style["color"], "line": style["linestyle"], "marker": style["marker"]}

"""What several figures share: one panel per dataset, with layers on x or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from kdsspark.report.figures import canvas

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel: TypeAlias = "Callable[[Axes, pd.DataFrame], list[Artist]]"


def datasets_in_order(frame: pd.DataFrame) -> list[str]:
    """The datasets in the paper's order: by images per class, then by name."""
    named = frame[["images_per_class", "dataset"]].drop_duplicates()
    return [str(name) for name in named.sort_values(["images_per_class", "dataset"])["dataset"]]


def dataset_panels(frame: pd.DataFrame, height: float, draw: Panel, needed: str) -> Figure:
    """One panel per dataset; without a positive value of ``needed`` it says why it is empty."""
    names = datasets_in_order(frame)
    figure, axes = canvas.panels(names, height)
    for ax, name in zip(axes, names, strict=True):
        rows = frame[frame["dataset"] == name]
        if (rows[needed].astype(float) > 0).any():
            draw(ax, rows)
        else:
            canvas.nothing(ax)
    return figure


def layer_panels(frame: pd.DataFrame, draw: Panel, needed: str) -> Figure:
    """One panel per dataset, with layers on x in the order of the network."""
    figure = dataset_panels(frame, 1.9, draw, needed)
    name_layers(figure.axes, frame)
    return figure


def name_layers(axes: Sequence[Axes], frame: pd.DataFrame) -> None:
    """Write the layers of ``frame`` below x, in the order of the network."""
    layers = frame[["depth", "layer", "kind"]].drop_duplicates().sort_values("depth")
    depths, names, kinds = (layers[column].tolist() for column in ("depth", "layer", "kind"))
    room = {1: 34, 2: 24}.get(len(axes), 17)
    for ax in axes:
        canvas.layer_axis(ax, depths, names, kinds, room)


def marked_line(x: np.ndarray[Any, Any], colour: str, line: Any, marker: str) -> dict[str, Any]:
    """Plot arguments of a line with markers at ``x``, which are filled only if round."""
    return {
        "color": colour,
        "linestyle": line,
        "marker": marker,
        "markersize": marker_size(x),
        "mfc": colour if marker == "o" else "white",
        "linewidth": 1.1,
    }


def marker_size(x: np.ndarray[Any, Any]) -> float:
    """Size of markers in points, smaller where many stand side by side."""
    return 4.0 if len(x) <= 20 else 2.2


def reach(x: pd.Series[float], height: pd.Series[float]) -> float:
    """The largest |x| with a height above 0.5 % of the maximum, and a little more; at most 1."""
    seen = x[height > 0.005 * height.max()].abs()
    return min(1.0, 1.05 * float(seen.max())) if len(seen) else 1.0

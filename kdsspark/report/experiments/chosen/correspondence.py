"""Correspondence in the report (Zeiler & Fergus 2013, table 1)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdsspark import paper_seeds
from kdsspark.report.experiments.shown import (
    Frames,
    Numbers,
    Picture,
    Shown,
    as_given,
    in_order,
    published,
)
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import DASHES, key
from kdsspark.report.figures.panels import layer_panels, marker_size
from kdsspark.report.parts import grid

_PARTS: Final = 12  # in the legend


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Signs that differ, by layer: a line for each part, a dashed one for random boxes."""
    names = sorted(frame["part"].unique())
    colours = {name: str(canvas.line_style(i)["color"]) for i, name in enumerate(names)}

    def panel(ax: Axes, own: pd.DataFrame) -> list[Artist]:
        for (part, is_random), rows in own.groupby(["part", "random"]):
            x, mean = rows["depth"].to_numpy(float), 100 * rows["mean"].to_numpy(float)
            shape: dict[str, Any] = (
                {"linestyle": DASHES, "marker": "s"} if is_random else {"marker": "o"}
            )
            (line,) = ax.plot(x, mean, color=colours[part], mfc="white", linewidth=1.1)
            line.set(**shape, markersize=marker_size(x))
            if not is_random:
                spread = 100 * rows["deviation"].to_numpy(float)
                ax.errorbar(x, mean, spread, fmt="none", ecolor=colours[part], elinewidth=0.7)
        return list(ax.lines)

    made = layer_panels(frame, panel, "n_values")
    made.axes[0].set_ylim(bottom=0)
    made.supylabel("% of the signs that differ")
    parts = [key(name, colours[name], "-", "s") for name in names[:_PARTS]]
    canvas.legend(made, *parts, key("the same boxes at random", canvas.GREY, DASHES, "s"))
    return made


def rows(frames: Frames) -> pd.DataFrame:
    """A row for each part and layer, with the random boxes beside it."""
    found = in_order(frames["correspondence"])
    index = ["dataset", "layer", "part"]
    apart = found[found["random"].astype(bool)].set_index(index)[["mean", "deviation"]]
    own = found[~found["random"].astype(bool)].join(apart.add_suffix("_random"), on=index)
    ratio = own["mean"] / own["mean_random"].replace(0, np.nan)
    result: pd.DataFrame = own.assign(ratio=ratio)
    return result


_SAME: Final = (
    "hares of signs that differ in two images when the part is hidden, mean and standard deviation"
)

SHOWN: Final = Shown(
    name="correspondence",
    title="Whether layers treat the same part alike",
    paper=f"{paper_seeds.ZEILER}, section 4.3, table 1",
    says=(
        "The same part of the face is hidden in five images of dogs. If that changes a layer's "
        "values in the same direction in all of them, the layer knows the part. Layer 5 does: "
        "fewer signs differ for eyes and noses than for random parts of the object. At layer 7 "
        "the shares are more similar.",
    ),
    pictures=(
        Picture(
            name="correspondence",
            title="Signs that differ, by layer",
            query="correspondence",
            text=(
                "Of each two images, the share of a layer's values, at all places of the maps, "
                "whose change has another sign (up, down or none). Lower: the layer treats the "
                "part alike. Bars are standard deviations over the pairs. Dashed: boxes of the "
                "same size at ten random places of each image.",
                "A value that hiding the part changes in neither image counts as alike, so that "
                "low layers have low shares, where a box reaches few values. Compare a part with "
                "its own random boxes, and not layers with each other. The paper's random parts "
                "lie on the object; here they lie anywhere in the crop.",
            ),
            drawn=as_given,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            f"S{_SAME} over the pairs; ratio: of the part to random boxes of its size; delta: the "
            "paper's sum over both orders of every pair.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.text("part", "part"),
                grid.number("mean", "mean", 4),
                grid.number("deviation", "deviation", 4),
                grid.number("random", "mean_random", 4),
                grid.number("its deviation", "deviation_random", 4),
                grid.number("ratio", "ratio", 2),
                grid.number("delta", "delta", 3),
                grid.number("images", "n_images"),
                grid.number("skipped", "n_skipped"),
            ),
            rows,
        ),
        Numbers(
            f"The paper's table 1: s{_SAME}, of five images.",
            (
                grid.text("part", "part"),
                grid.number("layer 5", "layer_5", 3),
                grid.number("deviation", "deviation_5", 3),
                grid.number("layer 7", "layer_7", 3),
                grid.number("deviation", "deviation_7", 3),
            ),
            published(paper_seeds.CORRESPONDENCE),
        ),
    ),
)

"""Correspondence in the report (Zeiler & Fergus 2013, table 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.shown import (
    Frames,
    Numbers,
    Picture,
    Shown,
    in_order,
    paper_key,
    published,
)
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import DASHES, GREY, key
from kdsspark.report.figures.panels import layer_panels, marker_size
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PARTS: Final = 12  # in the legend
_LAYERS_OF_PAPER: Final = 7  # of features


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Signs that differ as a share of those of random boxes, by layer; a line for each part."""
    names = sorted(frame["part"].unique())
    colours = {name: str(canvas.line_style(i + 1)["color"]) for i, name in enumerate(names)}

    def panel(ax: Axes, own: pd.DataFrame) -> list[Artist]:
        for part, rows in own.groupby("part"):
            x, y = rows["depth"].to_numpy(float), rows["ratio"].to_numpy(float)
            bar = (rows["deviation"] / rows["mean_random"]).to_numpy(float)
            style: dict[str, Any] = {"color": colours[str(part)], "markersize": marker_size(x)}
            ax.errorbar(x, y, bar, fmt="o-", linewidth=1.1, elinewidth=0.6, **style)
        ax.axhline(1, color=GREY, linestyle=DASHES, linewidth=1)
        _paper(ax, own["depth"].to_numpy(float))
        return list(ax.lines)

    made = layer_panels(frame, panel, "n_values")
    made.axes[0].set_ylim(bottom=0)
    made.supylabel("ratio to random boxes")
    parts = [key(name, colours[name], "-", "o") for name in names[:_PARTS]]
    random = key("random boxes", GREY, DASHES)
    canvas.legend(made, *parts, random, paper_key(paper_seeds.ZEILER))
    return made


def _paper(ax: Axes, depths: npt.NDArray[np.float64]) -> None:
    """The paper's two layers, its seven spread over ours from first to last."""
    parts = paper_seeds.CORRESPONDENCE.set_index("part")
    random = parts.loc["random"]
    of_layers = {
        layer: parts.drop("random")[f"layer_{layer}"].mean() / random[f"layer_{layer}"]
        for layer in (5, 7)
    }
    first, last = depths.min(), depths.max()
    x = [first + (last - first) * (n - 1) / (_LAYERS_OF_PAPER - 1) for n in of_layers]
    ax.plot(x, list(of_layers.values()), ":", color=GREY, marker="D", markersize=3.5, mfc="white")


def drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each part and layer."""
    return rows({"correspondence": frame})


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
            title="Signs that differ, by layer (table 1 of the paper)",
            query="correspondence",
            text=(
                "Of each two images, the share of a layer's values, at all places of the maps, "
                "whose change has another sign (up, down or none), divided by the same of boxes of "
                "the same size at ten random places of each image. Below 1 the layer treats the "
                "part alike. Bars are standard deviations over the pairs. "
                "Diamonds: the paper's layers 5 and 7 of 7, mean of its three parts.",
                "A value that the box changes in neither image counts as alike. So parts that lie "
                "at the same place of all images, as in portraits, have low shares in low layers "
                "also where these know nothing of parts: random boxes lie at other places in each "
                "image. The paper's random parts lie on the object, here they lie anywhere in the "
                "crop.",
            ),
            drawn=drawn,
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

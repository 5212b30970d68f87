"""Retrieval by layer in the report (Azizpour et al. 2014, tables 3 and 6, figure 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from kdsspark import paper_seeds
from kdsspark.images.windows import WINDOWS
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
from kdsspark.report.figures.canvas import BLUE, DASHES, GREY, ORANGE, SKY, VERMILION, key
from kdsspark.report.figures.panels import layer_panels, marked_line
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES: Final = {
    (0, True): ("whitened components", BLUE, "-", "o"),
    (0, False): ("features as they are", VERMILION, "--", "s"),
    (WINDOWS, True): ("whitened, nearest windows", SKY, "-", "D"),
    (WINDOWS, False): ("as they are, nearest windows", ORANGE, "--", "^"),
}
"""(windows, whitened) -> what it is, and how it is drawn."""


def _panel(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """One line with and one without whitening, with the interval of each point; and chance.

    Two more where there are windows.
    """
    for (windows, whitened), (_, colour, line, marker) in _STYLES.items():
        rows = frame[(frame["windows"] == windows) & (frame["whitened"] == whitened)]
        if not len(rows):
            continue
        y = 100 * rows[["mean_average_precision", "low", "high"]].to_numpy(float)
        middle, low, high = y.T
        ax.errorbar(
            rows["depth"].to_numpy(),
            middle,
            [middle - low, high - middle],
            elinewidth=0.8,
            **marked_line(rows["depth"].to_numpy(), colour, line, marker),
        )
    ax.axhline(100 * float(frame["chance"].iloc[0]), color=GREY, linestyle=DASHES, linewidth=1)
    return list(ax.lines)


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Mean average precision by layer; one panel per dataset."""
    made = layer_panels(frame, _panel, "mean_average_precision")
    made.axes[0].set_ylim(0, 102)
    made.supylabel("% mean average precision")
    drawn = set(frame["windows"])
    entries = [key(*style) for (windows, _), style in _STYLES.items() if windows in drawn]
    canvas.legend(made, *entries, key("chance", GREY, DASHES))
    return made


def rows(frames: Frames) -> pd.DataFrame:
    """All rows, in the order of the report, with what the vectors are in words."""
    found = frames["retrieval"]
    return in_order(found.assign(vectors=[_STYLES[0, bool(one)][0] for one in found["whitened"]]))


SHOWN: Final = Shown(
    name="retrieval",
    title="Whether the nearest images are of the same class",
    paper=f"{paper_seeds.AZIZPOUR}, section 5, tables 3 and 6, figure 6",
    says=(
        "Retrieval is the task farthest from the source task, and the first fully connected layer "
        "(fc6) suits it best; from there to the convolution before it the precision falls "
        "drastically. Principal components help all retrieval tasks, mostly by little.",
    ),
    pictures=(
        Picture(
            name="retrieval",
            title="Mean average precision by layer (figure 6 of the paper)",
            query="retrieval",
            text=(
                "Every test image is compared with all other images, by the Euclidean distance of "
                "vectors of length 1. Images of its class are relevant. Components are those of "
                "the training images, each divided by its deviation; there are at most 512, and at "
                "most half as many as training images. Bars are intervals of 95 % over the "
                "queries.",
                "The paper matches instances (one building, one sculpture), and does not test the "
                "low layers. Here classes are matched. For buildings and sculptures the paper "
                "takes the smallest distance between windows of two images, of 30 each. "
                "experiments.windows does that, too.",
            ),
            drawn=as_given,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Mean average precision, with its 95 % interval; chance is that of images in no order. "
            "1 window is the whole image, squashed to the size of a crop; 0 stands for the "
            "embeddings.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.number("windows", "windows"),
                grid.text("vectors", "vectors"),
                grid.number("dimensions", "dimensions"),
                grid.percent("precision", "mean_average_precision"),
                grid.percent("from", "low"),
                grid.percent("to", "high"),
                grid.percent("chance", "chance"),
                grid.number("queries", "n_queries"),
            ),
            rows,
        ),
        Numbers(
            "The paper's table 6: mean average precision by fc6 of AlexNet, and with the best "
            "choice of network, layer, components and windows.",
            (
                grid.text("dataset", "dataset"),
                grid.percent("fc6", "standard"),
                grid.percent("best choices", "best"),
            ),
            published(paper_seeds.RETRIEVAL),
        ),
    ),
)

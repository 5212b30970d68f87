"""Sparsity in the report (Agrawal et al. 2014, table 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.shown import (
    Numbers,
    Picture,
    Shown,
    as_given,
    in_order,
    paper_by_layer,
    paper_key,
    published,
)
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, key
from kdsspark.report.figures.panels import layer_panels, marker_size
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _panel(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Percent above zero by layer, with the deviation over images as a bar."""
    x = frame["depth"].to_numpy(float)
    mean, bar = 100 * frame[["mean", "deviation"]].to_numpy(float).T
    ax.errorbar(x, mean, bar, fmt="o-", color=BLUE, markersize=marker_size(x), linewidth=1.1)
    paper_by_layer(ax, list(100 * paper_seeds.SPARSITY["mean"]), x)
    return list(ax.lines)


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Percent of the features above zero in each layer; one panel per dataset."""
    made = layer_panels(frame, _panel, "mean")
    made.axes[0].set_ylim(0, 105)
    made.supylabel("% of the features above 0")
    canvas.legend(made, key("ours", BLUE, "-", "o"), paper_key(paper_seeds.AGRAWAL))
    return made


_SHARES: Final = (
    grid.text("layer", "layer"),
    grid.percent("above zero, mean", "mean"),
    grid.percent("deviation", "deviation"),
)

SHOWN: Final = Shown(
    name="sparsity",
    title="How many features fire",
    paper=f"{paper_seeds.AGRAWAL}, table 6",
    says=(
        "Responses become sparse quickly: 87.5 % of those of conv-1 are not zero, 44.5 % of "
        "conv-2, about 30 % of conv-3 to conv-5, and 16.1 and 21.6 % of the fully connected "
        "layers.",
    ),
    pictures=(
        Picture(
            name="sparsity",
            title="Features above zero, by layer (table 6 of the paper)",
            query="sparsity",
            text=(
                "The share of the layer's features above zero in one image: mean and standard "
                "deviation over images.",
                "The paper counts every place of the maps of one view. A feature here is pooled "
                "over space and averaged over the crops of the embedding, so that it is zero only "
                "if its filter fires nowhere in any crop. For convolutions ours are therefore "
                "upper bounds, higher still for ten crops than for one; fully connected layers of "
                "an embedding of one crop can be compared.",
            ),
            drawn=as_given,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Features above zero, of an image.",
            (
                grid.text("dataset", "dataset"),
                *_SHARES,
                grid.number("features", "n_features"),
                grid.number("never above zero", "never"),
            ),
            lambda frames: in_order(frames["sparsity"]),
        ),
        Numbers(
            "The paper's table 6: responses that are not zero, of one view.",
            _SHARES,
            published(paper_seeds.SPARSITY),
        ),
    ),
)

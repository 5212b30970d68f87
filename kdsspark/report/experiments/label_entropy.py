"""Label entropy in the report (Agrawal et al. 2014, figure 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.shown import Frames, Numbers, Picture, Shown, in_order
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import key
from kdsspark.report.figures.panels import dataset_panels
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS: Final = 100


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and layer, the mean entropy of the most selective share of the features.

    Adds ``share`` (0 to 1, at most 100 of a layer) and ``mean``; features without an entropy are
    left out.
    """
    parts = [pd.DataFrame(columns=[*_HEAD, "share", "mean"])]
    for head, rows in frame.dropna(subset=["entropy"]).groupby(_HEAD, sort=False):
        means = np.sort(rows["entropy"].to_numpy(float)).cumsum() / np.arange(1, len(rows) + 1)
        n = len(means)
        # Of n features the first n / 100, 2 n / 100, .., rounded up, without floats in between.
        places = np.unique(-(np.arange(1, _POINTS + 1) * -n // _POINTS)) - 1
        columns = dict(zip(_HEAD, head, strict=True))
        parts.append(pd.DataFrame(columns | {"share": (places + 1) / n, "mean": means[places]}))
    return pd.concat(parts[1:] or parts, ignore_index=True)


_HEAD: Final = ["network", "dataset", "images_per_class", "depth", "layer"]


def _panel(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """One curve per layer, darker with depth; ``frame``: depth, share, mean of one dataset."""
    artists: list[Artist] = []
    for depth in sorted(frame["depth"].unique().tolist()):
        rows = frame[frame["depth"] == depth]
        colour = canvas.colour_of(depth, frame["depth"].max())
        artists += ax.plot(rows["share"], rows["mean"], color=colour, linewidth=1.2)
    return artists


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Mean entropy of the most selective features of each layer; one panel per dataset."""
    made = dataset_panels(frame, 1.9, _panel, "mean")
    made.axes[0].set_xlim(0, 1)
    made.supxlabel("share of the layer's features, the most selective first")
    made.supylabel("mean area under the entropy curve")
    layers = frame[["depth", "layer"]].drop_duplicates().sort_values("depth")
    named = dict(zip(layers["depth"].tolist(), layers["layer"].tolist(), strict=True))
    ends = dict.fromkeys((min(named), max(named)))  # one where there is a single layer
    entries = [key(named[end], canvas.colour_of(end, max(named))) for end in ends]
    canvas.legend(made, *entries)
    return made


def table(frames: Frames) -> pd.DataFrame:
    """Per dataset and layer: features, and the mean entropy of the best tenth and of all."""
    rows = []
    for head, own in frames["label-entropy"].groupby(_HEAD, sort=False):
        values = np.sort(own["entropy"].dropna().to_numpy(float))
        best = values[: max(1, len(values) // 10)]
        means = {"tenth": best.mean(), "all": values.mean()} if len(values) else {}
        rows.append(dict(zip(_HEAD, head, strict=True)) | {"features": len(own)} | means)
    return in_order(pd.DataFrame(rows, columns=[*_HEAD, "features", "tenth", "all"]))


SHOWN: Final = Shown(
    name="label-entropy",
    title="How selective features are",
    paper=f"{paper_seeds.AGRAWAL}, figure 1 and appendix",
    says=(
        "Layers become more selective from the first to the last: the curve of each layer lies "
        "below that of the layer before it. The paper prints no numbers beside its figure.",
    ),
    pictures=(
        Picture(
            name="entropy",
            title="Entropy of the labels above a value (figure 1 of the paper)",
            query="label-entropy",
            text=(
                "For each value of a feature, the entropy of the labels of all images at or above "
                "it, as a share of that of equally many images of each class; averaged over the "
                "feature's 100 bins. A low average means that high values are of few classes. "
                "Each curve sorts the features of a layer and averages over the most selective "
                "ones, from one to all; darker curves are of deeper layers.",
                "The paper takes every place of a filter's map for a value, here a feature is "
                "pooled over space. The highest bins hold few images, which are of few classes by "
                "chance alone: in small datasets and for features with outliers every curve lies "
                "low.",
            ),
            drawn=curves,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Mean area under the entropy curve, of the most selective tenth and of all features.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.number("features", "features"),
                grid.number("best tenth", "tenth", 3),
                grid.number("all", "all", 3),
            ),
            table,
        ),
    ),
)

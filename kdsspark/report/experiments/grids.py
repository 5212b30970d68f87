"""Maps pooled over grids in the report (Azizpour et al. 2014, table 6, "Pooling")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

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
from kdsspark.report.figures.canvas import BLUE, VERMILION, key
from kdsspark.report.figures.panels import layer_panels, marked_line
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = {"mean": BLUE, "max": VERMILION}
_STYLES: Final[dict[int, tuple[Any, str]]] = {1: ("-", "o"), 2: ("--", "s"), 3: (":", "^")}
_FORMS: Final = {
    f"{pooling} {side}x{side}": (pooling, side) for pooling in _COLOURS for side in _STYLES
}


def _panel(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Percent right by layer, a line for each kind of pooling and grid."""
    artists: list[Artist] = []
    for pooling, side in _FORMS.values():
        rows = frame[(frame["pooling"] == pooling) & (frame["grid"] == side)]
        x = rows["depth"].to_numpy()
        style = marked_line(x, _COLOURS[pooling], *_STYLES[side])
        artists += ax.plot(x, 100 * rows["accuracy"], **style)
    return artists


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Accuracy by layer, kind of pooling and grid; one panel per dataset."""
    made = layer_panels(frame, _panel, "high")
    made.axes[0].set_ylim(0, 102)
    made.supylabel("% right")
    entries = [
        key(name, _COLOURS[pooling], *_STYLES[side]) for name, (pooling, side) in _FORMS.items()
    ]
    canvas.legend(made, *entries)
    return made


def by_layer(frames: Frames) -> pd.DataFrame:
    """Per dataset and layer: the accuracy of each form, and the interval of the first."""
    rows = frames["grids"]
    keys = ["dataset", "images_per_class", "depth", "layer", "map_side", "n_test"]
    found = []
    for head, own in rows.groupby(keys, sort=False):
        at = own.set_index(["pooling", "grid"]).sort_index()
        values = {
            name: at["accuracy"].get(form, None)  # of a map that is smaller than the grid
            for name, form in _FORMS.items()
        }
        ends = {end: at.loc[("mean", 1), end] for end in ("low", "high")}
        found.append(dict(zip(keys, head, strict=True)) | values | ends)
    return in_order(pd.DataFrame(found, columns=[*keys, *_FORMS, "low", "high"]))


SHOWN: Final = Shown(
    name="grids",
    title="Whether a grid of places helps",
    paper=f"{paper_seeds.AZIZPOUR}, table 6",
    says=(
        "Maps can be pooled over the whole image, or over the cells of a grid, which keeps places. "
        "For classification the paper takes fully connected layers, without a grid. For retrieval "
        "it pools the maps before them: over all of the image for pictures of holidays and "
        "objects, over 2x2 cells for buildings, over 3x3 cells for sculptures, which may fill a "
        "small part of the image.",
    ),
    pictures=(
        Picture(
            name="grids",
            title="Accuracy by grid and layer",
            query="grids",
            text=(
                "The maps of one centre crop, pooled over the cells of a grid by their mean or "
                "maximum, and all cells side by side for the classifier of probe. Layers without "
                "maps are left out, and grids finer than a map.",
                "The paper has no figure of this, and says which grid suits retrieval, not "
                "classification.",
            ),
            drawn=as_given,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Share of the test images that get their class; from and to are the 95 % interval of "
            "the mean over the whole map (mean 1x1).",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.number("side of the map", "map_side"),
                *(grid.percent(name, name) for name in _FORMS),
                grid.percent("from", "low"),
                grid.percent("to", "high"),
                grid.number("test images", "n_test"),
            ),
            by_layer,
        ),
        Numbers(
            "The paper's table 6: the grid taken for each retrieval task, with the fourth last "
            "layer of the network, and the result, as each task measures it.",
            (
                grid.text("task", "task"),
                grid.text("grid", "grid"),
                grid.percent("result", "best"),
            ),
            published(paper_seeds.GRIDS),
        ),
    ),
)

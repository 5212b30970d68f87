"""Maps without magnitudes or places in the report (Agrawal et al. 2014, table 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
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
from kdsspark.report.figures.canvas import BLUE, GREY, INK, ORANGE, VERMILION, key
from kdsspark.report.figures.panels import datasets_in_order, marked_line, name_layers
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMS: Final[dict[str, tuple[str, str, Any, str]]] = {
    "as_is": ("as they are", INK, "-", "o"),
    "binarised": ("binarised", BLUE, "--", "s"),
    "shuffled": ("places shuffled", VERMILION, ":", "^"),
    "max": ("maximum of each map", ORANGE, "-.", "D"),
}
"""Form -> its entry in the legend: label, colour, line, marker."""


def _line(ax: Axes, form: str, x: Any, y: Any) -> None:
    _, *style = _FORMS[form]
    ax.plot(x, y, **marked_line(np.asarray(x), *style))


def _papers_panel(ax: Axes, depths: pd.Series[int]) -> None:
    """The paper's table 7, its layers spread over ours and named."""
    table = paper_seeds.ABLATIONS
    x = np.linspace(depths.min(), depths.max(), len(table))
    for form in _FORMS:
        _line(ax, form, x, 100 * table[form].astype(float))
    for at, name in zip(x, table["layer"], strict=True):
        ax.text(at, 99, name, rotation=90, ha="center", va="top", color=GREY, fontsize=6)


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Accuracy by layer and form, one panel per dataset; then the paper's."""
    names = datasets_in_order(frame)
    made, axes = canvas.panels([*names, f"{paper_seeds.AGRAWAL}, table 7"], 1.9)
    for ax, name in zip(axes, names, strict=False):
        for form in _FORMS:
            rows = frame[(frame["dataset"] == name) & (frame["form"] == form)]
            _line(ax, form, rows["depth"], 100 * rows["accuracy"])
    _papers_panel(axes[-1], frame["depth"])
    name_layers(axes, frame)
    axes[0].set_ylim(0, 102)
    made.supylabel("% right; of the paper, mean average precision")
    canvas.legend(made, *(key(*style) for style in _FORMS.values()))
    return made


def by_layer(frames: Frames) -> pd.DataFrame:
    """Per dataset and layer: the accuracy of each form, and the interval of the first."""
    rows = frames["ablations"]
    keys = ["dataset", "images_per_class", "depth", "layer", "map_side", "averaged", "n_test"]
    found = []
    for head, own in rows.groupby(keys, sort=False, dropna=False):
        at = own.set_index("form")
        ends = {end: at.loc["as_is", end] for end in ("n_features", "low", "high")}
        accuracies = {form: at["accuracy"].get(form, None) for form in _FORMS}
        found.append(dict(zip(keys, head, strict=True)) | accuracies | ends)
    return in_order(pd.DataFrame(found, columns=[*keys, *_FORMS, "n_features", "low", "high"]))


_ACCURACIES: Final = tuple(grid.percent(label, form) for form, (label, *_) in _FORMS.items())

SHOWN: Final = Shown(
    name="ablations",
    title="What carries the information: magnitudes or places",
    paper=f"{paper_seeds.AGRAWAL}, section 5 and table 7",
    says=(
        "Magnitudes matter little: maps whose values are replaced by 1 where they are above zero "
        "lose 2 to 5 points (conv-1: 7), and fully connected layers less than half a point. "
        "Places matter for the first layer, where shuffling them costs two fifths of the "
        "precision, and ever less for higher layers: of conv-5, 65.6 % fall to 59.5 % with "
        "shuffled places and to 62.5 % with the maximum of each map.",
    ),
    pictures=(
        Picture(
            name="ablations",
            title="Accuracy by what is left of the maps (table 7 of the paper)",
            query="ablations",
            text=(
                "The classifier of probe on whole maps of one centre crop: as they are; with 1 "
                "where a value is above zero and 0 elsewhere; with the places of each image in a "
                "random order, the same for all units; with the maximum of each map alone. Other "
                "layers have no places, and so the first two forms.",
                "Maps of layers with more than 100,352 values are averaged over squares of places "
                "first, and binarised or shuffled then; the column averaged says how wide the "
                "squares are. The maximum is always that of all places. The paper's values are "
                "mean average precisions of 20 classes; its layers are spread over ours.",
            ),
            drawn=as_given,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Share of the test images that get their class; from and to are the 95 % interval of "
            "the maps as they are.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.number("side of the map", "map_side"),
                grid.number("averaged", "averaged"),
                grid.number("values", "n_features"),
                *_ACCURACIES,
                grid.percent("from", "low"),
                grid.percent("to", "high"),
                grid.number("test images", "n_test"),
            ),
            by_layer,
        ),
        Numbers(
            "The paper's table 7: mean average precision on PASCAL VOC 2007.",
            (grid.text("layer", "layer"), *_ACCURACIES),
            published(paper_seeds.ABLATIONS),
        ),
    ),
)

"""Accuracy by training images in the report (Zeiler & Fergus 2013, tables 4, 5, 7, figure 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.shown import (
    Frames,
    Numbers,
    Picture,
    Shown,
    in_order,
    published,
)
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, GREEN, PURPLE, VERMILION, key
from kdsspark.report.figures.panels import dataset_panels, layer_panels, marked_line
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES: Final = {
    "svm": ("support vector machine", BLUE, "-", "o"),
    "svm_pairs": ("one machine a pair of classes", PURPLE, ":", "D"),
    "softmax": ("softmax", VERMILION, "--", "s"),
    "knn": ("nearest neighbours", GREEN, "-.", "^"),
}


def _lines(ax: Axes, frame: pd.DataFrame, x: str) -> list[Artist]:
    """One line per classifier, with the interval of each point."""
    for name, (_, colour, line, marker) in _STYLES.items():
        rows = frame[frame["classifier"] == name].sort_values(x)
        if rows.empty:
            continue
        accuracy, low, high = 100 * rows[["accuracy", "low", "high"]].to_numpy(float).T
        ax.errorbar(
            rows[x].to_numpy(),
            accuracy,
            [accuracy - low, high - accuracy],
            elinewidth=0.8,
            **marked_line(rows[x].to_numpy(), colour, line, marker),
        )
    return list(ax.lines)


def _legend(made: Figure, frame: pd.DataFrame) -> Figure:
    made.axes[0].set_ylim(0, 102)
    made.supylabel("% right, mean of the classes")
    kinds = set(frame["classifier"])
    entries = [key(*style) for name, style in _STYLES.items() if name in kinds]
    canvas.legend(made, *entries)
    return made


def best_layer(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the layer that is right most often, of each dataset."""
    means = frame.groupby(["dataset", "depth"])["accuracy"].mean()
    best = {dataset: means[dataset].idxmax() for dataset in frame["dataset"].unique()}
    found: pd.DataFrame = frame[frame["depth"] == frame["dataset"].map(best)]
    return found


@canvas.styled
def by_size(frame: pd.DataFrame) -> Figure:
    """Accuracy of the best layer by images of a class to train with; one panel per dataset."""
    made = dataset_panels(frame, 1.9, lambda ax, own: _lines(ax, own, "train_per_class"), "high")
    made.axes[0].set_xscale("log")
    sizes = sorted(frame["train_per_class"].unique())
    made.axes[0].set_xticks(sizes, [str(size) for size in sizes], minor=False)
    made.axes[0].minorticks_off()
    made.supxlabel("images of a class to train with")
    return _legend(made, frame)


def most(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the largest number of training images of each dataset."""
    largest = frame.groupby("dataset")["train_per_class"].transform("max")
    found: pd.DataFrame = frame[frame["train_per_class"] == largest]
    return found


@canvas.styled
def by_layer(frame: pd.DataFrame) -> Figure:
    """Accuracy by layer, with most images to train with; one panel per dataset."""
    made = layer_panels(frame, lambda ax, own: list(_lines(ax, own, "depth")), "high")
    return _legend(made, frame)


def rows(frames: Frames) -> pd.DataFrame:
    """All trials, in the order of the report."""
    return in_order(frames["training-size"])


_CAPTION: Final = (
    "Accuracy (mean of the classes, over random folds), its standard deviation over folds and its "
    "95 % interval."
)
_SHARES: Final = (grid.percent("right", "accuracy"), grid.percent("deviation", "deviation"))

SHOWN: Final = Shown(
    name="training-size",
    title="Accuracy by training images",
    paper=f"{paper_seeds.ZEILER}, tables 4, 5 and 7, figure 9",
    says=(
        "Features of a network trained on ImageNet need few images of another dataset: with 6 of "
        "a class of Caltech-256 they pass the best earlier method with 60. Accuracy rises with "
        "nearly every layer, from 44.8 % by layer 1 to 85.5 % by layer 7 on Caltech-101 at 30 "
        "images of a class. A support vector machine and softmax differ little.",
    ),
    pictures=(
        Picture(
            name="training-size",
            title="Accuracy by training images (figure 9 of the paper)",
            query="training-size",
            text=(
                "By the layer of each dataset that is right most often. A class with fewer images "
                "gives all but one. Bars are intervals of 95 %: Student's over random folds, "
                "Wilson's where there is one. Folds share images, which makes theirs a little too "
                "narrow.",
            ),
            drawn=best_layer,
            figure=by_size,
        ),
        Picture(
            name="training-size-layers",
            title="Accuracy by layer (table 7 of the paper)",
            query="training-size",
            text=(
                "With the largest number of training images that the dataset allows. The paper "
                "takes whole maps of the network's layers; these are features pooled over space, "
                "of which low layers have few.",
            ),
            drawn=most,
            figure=by_layer,
        ),
    ),
    numbers=(
        Numbers(
            _CAPTION,
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.text("classifier", "classifier"),
                grid.number("images of a class", "train_per_class"),
                *_SHARES,
                grid.percent("from", "low"),
                grid.percent("to", "high"),
                grid.number("test images", "n_test"),
            ),
            rows,
        ),
        Numbers(
            "The paper's tables 4 and 5, its own network trained on ImageNet, and table 7 by "
            "layer.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.text("classifier", "classifier"),
                grid.number("images of a class", "train_per_class"),
                *_SHARES,
            ),
            published(paper_seeds.TRAINING_SIZE),
        ),
    ),
)

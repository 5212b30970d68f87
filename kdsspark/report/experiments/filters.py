"""Single features as detectors in the report (Agrawal et al. 2014, figures 3 to 5, table 5)."""

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
    last_convolution,
    published,
)
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, DASHES, INK, key
from kdsspark.report.figures.panels import dataset_panels, datasets_in_order
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BEST: Final = 50


def _curves(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Precision by recall: thin lines are classes, thick ones the means; dashed by chance."""
    artists: list[Artist] = []
    for choice, colour, style in (("best", BLUE, "-"), ("random", INK, DASHES)):
        rows = frame[frame["choice"] == choice]
        wide = rows.pivot(index="recall", columns="class_id", values="precision")
        if choice == "best":
            artists += ax.plot(wide.index, wide, color=colour, linewidth=0.5, alpha=0.35)
        mean = wide.mean(axis=1)
        artists += ax.plot(wide.index, mean, color=colour, linestyle=style, linewidth=1.8)
    return artists


@canvas.styled
def curves(frame: pd.DataFrame) -> Figure:
    """Precision and recall of single features of the last convolution; a panel per dataset."""
    made = dataset_panels(frame, 1.9, _curves, "precision")
    made.axes[0].set_xlim(0, 1)
    made.axes[0].set_ylim(0, 1.02)
    made.supxlabel("recall")
    made.supylabel("precision")
    best, random = key("five best, mean of a class", BLUE), key("random", INK, DASHES)
    canvas.legend(made, best, random)
    return made


def _needed(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """Percent of the performance of all features by k: thin lines are classes, thick the mean."""
    wide = 100 * frame.pivot(index="k", columns="class_id", values="share")
    artists: list[Artist] = [*ax.plot(wide.index, wide, color=BLUE, linewidth=0.5, alpha=0.35)]
    artists += ax.plot(wide.index, wide.mean(axis=1), "o-", color=BLUE, markersize=3, linewidth=1.6)
    for percent in (50, 90):
        artists.append(ax.axhline(percent, color=INK, linestyle=DASHES, linewidth=0.8))
    return artists


@canvas.styled
def needed(frame: pd.DataFrame) -> Figure:
    """Share of the whole performance by number of features, of the last convolution."""
    made = dataset_panels(frame, 1.9, _needed, "share")
    made.axes[0].set_xscale("log", base=2)
    made.axes[0].xaxis.set_major_formatter(canvas.thousands)
    made.axes[0].set_ylim(0, 125)
    made.supxlabel("number of features, the largest weights first")
    made.supylabel("% of the average precision of all features")
    canvas.legend(made, key("a class (thick: mean)", BLUE), key("50 and 90 %", INK, DASHES))
    return made


@canvas.styled
def overlap(frame: pd.DataFrame) -> Figure:
    """The share of their best 50 features that two classes have in common; a panel per dataset."""
    names = datasets_in_order(frame)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    width = canvas.WIDTH if columns > 1 else canvas.NARROW
    made = canvas.blank(width, 2.6 * rows)
    axes = made.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(names) :]:
        ax.remove()
    for ax, name in zip(axes, names, strict=False):
        own = frame[frame["dataset"] == name]
        matrix = own.pivot(index="class_id", columns="other", values="overlap").fillna(0)
        image = ax.imshow(matrix, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        ax.set_title(canvas.shorten(name, 30), loc="left")
        ax.set_xticks([])
        ax.set_yticks([])
    made.colorbar(image, ax=list(axes[: len(names)]), shrink=0.6, label="share of 50 in common")
    return made


def summary(frames: Frames) -> pd.DataFrame:
    """Per dataset and layer: detectors, numbers of features, and overlap beside chance."""
    keys = ["dataset", "images_per_class", "depth", "layer", "n_features"]
    needed_of = frames["filters"].groupby(keys, sort=False)
    found = needed_of.agg(
        classes=("class_id", "size"),
        best=("best", "mean"),
        full=("full", "mean"),
        half=("half", "median"),
        most=("most", "median"),
        least=("most", "min"),
        greatest=("most", "max"),
    ).reset_index()
    pairs = frames["filters/overlap"]
    of_each = pairs.groupby([*keys, "class_id"], sort=False)["overlap"].sum() - 1  # with itself
    totals = of_each.groupby(keys, sort=False).sum().rename("total").reset_index()
    found = found.merge(totals, on=keys, how="left")
    n_pairs = found["classes"] * (found["classes"] - 1)
    wide = found["n_features"] > _BEST
    found["overlap"] = (found["total"] / n_pairs).where(wide & (n_pairs > 0))
    found["chance"] = (_BEST / found["n_features"]).where(wide)
    made: pd.DataFrame = found.drop(columns="total")
    return in_order(made)


SHOWN: Final = Shown(
    name="filters",
    title="Single features as detectors of a class",
    paper=f"{paper_seeds.AGRAWAL}, section 4, figures 3 to 5, table 5",
    says=(
        "Few classes have a filter of conv-5 that detects them alone (person, bicycle, car, cat): "
        "for most, precision falls at modest recall. With one filter 50 % of the average "
        "precision of all 256 is reached for person, with 25 for sofa; 90 % takes 30 to 40 filters "
        "for most classes. Two classes share little of their best 50 filters; by chance they would "
        "share 0.195 of them.",
    ),
    pictures=(
        Picture(
            name="filters-curves",
            title="Precision and recall of single features (figure 3 of the paper)",
            query="filters/curves",
            text=(
                "Each thin line is a class: the mean of the curves of the five features of the "
                "last convolution with the highest average precision. The thick line is the mean "
                "of all classes, the dashed one that of five features drawn by chance. Average "
                "precisions are exact, over all images of the dataset.",
            ),
            drawn=last_convolution,
            figure=curves,
        ),
        Picture(
            name="filters-needed",
            title="Performance by number of features (figure 4 of the paper)",
            query="filters/needed",
            text=(
                "A linear support vector machine tells one class from the rest by all features of "
                "the last convolution, which ranks them by absolute weight; others are trained on "
                "the best 1, 2, 3 and so on. The line is the average precision on images apart, as "
                "a share of that of all features. It can exceed 100 %, where fewer features "
                "generalise better.",
                "The paper takes object boxes of PASCAL and the maximum over space of one view; "
                "ours are whole images, pooled as the embedding is.",
            ),
            drawn=last_convolution,
            figure=needed,
        ),
        Picture(
            name="filters-overlap",
            title="What two classes share of their best 50 features (figure 5 of the paper)",
            query="filters/overlap",
            text=(
                "Rows and columns are the classes in the order of their names, on the features of "
                "the last convolution with the largest absolute weights. The table below has the "
                "mean of all pairs of classes beside chance, which is 50 divided by the features "
                "of the layer.",
            ),
            drawn=last_convolution,
            figure=overlap,
        ),
    ),
    numbers=(
        Numbers(
            "Average precision of the best single feature and of all (means over classes); the "
            "number of features that reaches a half and nine tenths of that (median, and the least "
            "and most of a class); the share of the best 50 that two classes have in common.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.number("features", "n_features"),
                grid.number("classes", "classes"),
                grid.number("best alone", "best", 3),
                grid.number("all", "full", 3),
                grid.number("50 %", "half"),
                grid.number("90 %", "most"),
                grid.number("90 %, least", "least"),
                grid.number("90 %, most", "greatest"),
                grid.number("overlap", "overlap", 3),
                grid.number("by chance", "chance", 3),
            ),
            summary,
        ),
        Numbers(
            "The paper's table 5, before fine-tuning: filters of conv-5, of 256.",
            (
                grid.text("class", "class"),
                grid.number("50 %", "half"),
                grid.number("90 %", "most"),
            ),
            published(paper_seeds.FILTERS_NEEDED),
        ),
    ),
)

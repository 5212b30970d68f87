"""Accuracy by dimensions, and the order of tasks, in the report (Azizpour et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.shown import Frames, Numbers, Picture, Shown, as_given, in_order
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import key
from kdsspark.report.figures.panels import dataset_panels
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHARES: Final = {"at95": 0.95, "at99": 0.99}


def _panel(ax: Axes, frame: pd.DataFrame) -> list[Artist]:
    """One curve per layer, darker with depth; a mark at the right for all of its features."""
    artists: list[Artist] = []
    last = int(frame["depth"].max())
    for depth in sorted(frame["depth"].unique().tolist()):
        rows = frame[frame["depth"] == depth]
        colour = canvas.colour_of(depth, last)
        some, full = rows[rows["reduced"]], rows[~rows["reduced"]]
        artists += ax.plot(some["dimensions"], 100 * some["accuracy"], color=colour, linewidth=1.2)
        artists += ax.plot(
            full["dimensions"], 100 * full["accuracy"], "D", color=colour, mfc="white", ms=3.5
        )
    return artists


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Accuracy by the number of components, a curve per layer; one panel per dataset."""
    made = dataset_panels(frame, 1.9, _panel, "high")
    made.axes[0].set_xscale("log", base=2)
    made.axes[0].xaxis.set_major_formatter(canvas.thousands)
    made.axes[0].set_ylim(0, 102)
    made.supxlabel("principal components")
    made.supylabel("% right")
    layers = frame[["depth", "layer"]].drop_duplicates()
    named = dict(zip(layers["depth"].tolist(), layers["layer"].tolist(), strict=True))
    ends = dict.fromkeys((min(named), max(named)))
    colours = {end: canvas.colour_of(end, max(named)) for end in ends}
    entries = [key(named[end], colour) for end, colour in colours.items()]
    canvas.legend(made, *entries, key("all features", canvas.INK, "", "D"))
    return made


def needed(frames: Frames) -> pd.DataFrame:
    """Per dataset and layer: accuracy of all, and the least components that reach 95 and 99 %."""
    keys = ["dataset", "rank", "images_per_class", "depth", "layer", "n_features"]
    rows = []
    for head, own in frames["dimensions"].groupby(keys, sort=False, dropna=False):
        some, full = own[own["reduced"]], own[~own["reduced"]].iloc[0]
        found = {
            name: some.loc[some["share"] >= share, "dimensions"].min()
            for name, share in _SHARES.items()
        }
        ends = {name: full[name] for name in ("accuracy", "low", "high", "n_test")}
        rows.append(dict(zip(keys, head, strict=True)) | ends | found)
    columns = [*keys, "accuracy", "low", "high", "n_test", *_SHARES]
    return in_order(pd.DataFrame(rows, columns=columns))


def tasks(frames: Frames) -> pd.DataFrame:
    """The datasets that have a rank, by it: best layer and its dimensions; then the correlations.

    Spearman's, of the rank with the relative depth of the best layer (0 the first, 1 the last) and
    with the dimensions; NaN for fewer than three datasets.
    """
    layers = needed(frames)
    deepest = max(1, int(layers["depth"].max()))
    ranked = layers.dropna(subset=["rank", "accuracy"])
    best = ranked.sort_values(["accuracy", "depth"], ascending=[False, True], kind="stable")
    best = best.groupby("dataset", sort=False).head(1).sort_values(["rank", "dataset"])
    best = best.assign(of_depth=best["depth"] / deepest)
    columns = ["of_depth", *_SHARES]
    shown = best[["dataset", "rank", "layer", "accuracy", *columns]].astype({"at95": float})
    if shown.empty:
        return shown
    last = {
        "dataset": "Spearman with the rank",
        "layer": None,
        **{name: _spearman(best["rank"], best[name]) for name in columns},
    }
    return pd.concat([shown, pd.DataFrame([last])], ignore_index=True)


def _spearman(rank: pd.Series[float], values: pd.Series[float]) -> float:
    known = values.notna()
    if known.sum() < 3 or rank[known].nunique() < 2 or values[known].nunique() < 2:
        return np.nan
    return float(rank[known].rank().corr(values[known].rank()))


SHOWN: Final = Shown(
    name="dimensions",
    title="How many dimensions a task needs",
    paper=f"{paper_seeds.AZIZPOUR}, section 3.2.2 and table 2",
    says=(
        "At most 500 of the 4,096 dimensions of the first fully connected layer suffice for every "
        "task, and many do well with 5 to 50. The nearer a task is to the source task, the sooner "
        "more dimensions stop to help, and the later the layer that suits it best: classification, "
        "then attributes, fine-grained classes, compositions, and retrieval.",
    ),
    pictures=(
        Picture(
            name="dimensions",
            title="Accuracy by principal components (figure 8 of the paper's supplement)",
            query="dimensions",
            text=(
                "The components are those of the training images. A curve is a layer, darker with "
                "depth; its diamond is the accuracy on all of its features as they are. Curves end "
                "where there are no more features or training images.",
            ),
            drawn=as_given,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Accuracy on all features, with its 95 % interval, and the least number of components "
            "(1, 2, 4, .. 512) that reaches 95 and 99 % of it.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.number("features", "n_features"),
                grid.percent("right", "accuracy"),
                grid.percent("from", "low"),
                grid.percent("to", "high"),
                grid.number("test images", "n_test"),
                grid.number("95 %", "at95"),
                grid.number("99 %", "at99"),
            ),
            needed,
        ),
        Numbers(
            "The order of tasks: the rank that the configuration gives a dataset (1 is nearest to "
            "the source task), its best layer and that layer's depth (0 the first, 1 the last), "
            "and the components it needs. By the paper, the correlation with depth is negative and "
            "that with the components positive.",
            (
                grid.text("dataset", "dataset"),
                grid.number("rank", "rank"),
                grid.text("best layer", "layer"),
                grid.percent("right", "accuracy"),
                grid.number("depth", "of_depth", 2),
                grid.number("95 %", "at95", 2),
                grid.number("99 %", "at99", 2),
            ),
            tasks,
        ),
    ),
)

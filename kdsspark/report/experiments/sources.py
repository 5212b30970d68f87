"""Networks alone and side by side in the report (Azizpour et al. 2014, table 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.shown import Frames, Numbers, Picture, Shown, as_given, published
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    key,
)
from kdsspark.report.figures.panels import datasets_in_order
from kdsspark.report.parts import formats, grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = (
    BLUE,
    VERMILION,
    GREEN,
    PURPLE,
    SKY,
    ORANGE,
)  # of networks alone, again and again
_MARKERS: Final = "osphX*"
_TOGETHER: Final = ("side by side", INK, "D")
_PUBLISHED: Final = {
    "ImageNet": (f"ImageNet, {paper_seeds.AZIZPOUR}", GREY, "^"),
    "Places": (f"Places, {paper_seeds.AZIZPOUR}", GREY, "v"),
}


def _styles(names: list[str]) -> dict[str, tuple[str, str, str]]:
    """Network -> its entry in the legend, colour and marker."""
    return {
        name: (name, _COLOURS[i % len(_COLOURS)], _MARKERS[i // len(_COLOURS) % len(_MARKERS)])
        for i, name in enumerate(names)
    }


def _points(ax: Axes, x: float, row: dict[str, Any], colour: str, marker: str) -> None:
    """One accuracy, with its interval where it has one."""
    y = 100 * row["accuracy"]
    bar = [[y - 100 * row["low"]], [100 * row["high"] - y]] if "low" in row else None
    face = colour if marker == "o" else "white"
    ax.errorbar(
        [x], [y], bar, color=colour, marker=marker, mfc=face, markersize=4.5, elinewidth=0.8
    )


def _drawn(ax: Axes, groups: dict[str, list[dict[str, Any]]], styles: dict[str, Any]) -> None:
    """The datasets on x, and in each its networks from left to right, side by side last."""
    for place, rows in enumerate(groups.values()):
        for i, row in enumerate(rows):
            _, colour, marker = styles.get(row["sources"], _TOGETHER)
            _points(ax, place + 0.6 * (i / max(1, len(rows) - 1) - 0.5), row, colour, marker)
    labels = [canvas.shorten(name, 14) for name in groups]
    ax.set_xticks(range(len(groups)), labels, rotation=90)
    ax.set_xlim(-0.6, len(groups) - 0.4)


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Accuracy of each network and of all side by side, by dataset; then the paper's."""
    made = canvas.blank(canvas.WIDTH, 3.4)
    ours, theirs = made.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    alone = list(dict.fromkeys(frame.loc[frame["n_sources"] == 1, "sources"]))
    styles = _styles(alone)
    groups = {
        name: list(formats.rows(frame[frame["dataset"] == name]))
        for name in datasets_in_order(frame)
    }
    _drawn(ours, groups, styles)
    ours.set_title("ours", loc="left")
    table = paper_seeds.SOURCES
    table = table[table["sources"].isin([*_PUBLISHED, _TOGETHER[0]])]
    _drawn(
        theirs,
        {
            task: [
                {"sources": source, "accuracy": value}
                for source, value in zip(table["sources"], table[task], strict=True)
            ]
            for task in paper_seeds.SOURCES_CLASSIFIED
        },
        _PUBLISHED,
    )
    theirs.set_title(f"{paper_seeds.AZIZPOUR}, table 3", loc="left")
    ours.set_ylim(0, 102)
    made.supylabel("% right")
    shown = [*styles.values(), _TOGETHER, *_PUBLISHED.values()]
    entries = [key(label, colour, "", marker) for label, colour, marker in shown]
    canvas.legend(made, *entries)
    return made


def gains(frames: Frames) -> pd.DataFrame:
    """All rows, those of all networks side by side with their gain over the best one alone."""
    rows = frames["sources"]
    best = rows[rows["n_sources"] == 1].groupby("dataset")["accuracy"].max()
    gain = rows["accuracy"] - rows["dataset"].map(best)
    return rows.assign(gain=(100 * gain).where(rows["n_sources"] > 1))


SHOWN: Final = Shown(
    name="sources",
    title="Several networks side by side",
    paper=f"{paper_seeds.AZIZPOUR}, section 3.1.4 and table 3",
    says=(
        "The nearer the source task of a network is to the target, the better: a network trained "
        "on Places is right more often on indoor scenes, and one trained on ImageNet on pets, "
        "birds and flowers. The vectors of both side by side are better than one network trained "
        "on both sets on every task but one, and on scenes better than each alone.",
    ),
    pictures=(
        Picture(
            name="sources",
            title="Accuracy of networks alone and side by side (table 3 of the paper)",
            query="sources",
            text=(
                "The same classifier on one layer of each network, and on these layers side by "
                "side, with the same images to train and to test with. Bars are intervals of 95 %. "
                "At the right the paper's values, by fc6.",
            ),
            drawn=as_given,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Accuracy of each network alone and of all side by side, with its 95 % interval; the "
            "gain, in percentage points, is that over the best network alone.",
            (
                grid.text("dataset", "dataset"),
                grid.text("networks", "sources"),
                grid.text("layers", "layers"),
                grid.number("features", "n_features"),
                grid.percent("right", "accuracy"),
                grid.percent("from", "low"),
                grid.percent("to", "high"),
                grid.number("gain", "gain", 1, plus=True),
                grid.number("test images", "n_test"),
            ),
            gains,
        ),
        Numbers(
            "The paper's table 3, by fc6: accuracy; of Oxford and sculptures, mean average "
            "precision.",
            (
                grid.text("source", "sources"),
                *(
                    grid.percent(task, task)
                    for task in paper_seeds.SOURCES.columns
                    if task != "sources"
                ),
            ),
            published(paper_seeds.SOURCES),
        ),
    ),
)

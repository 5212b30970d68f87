"""What the report shows of an experiment, and what their figures share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kdsspark.report.figures.canvas import GREY, key
from kdsspark.report.parts.grid import GridColumn


@dataclass(frozen=True)
class Numbers:
    """A table of an experiment's page: its caption, its columns, and how its rows are made."""

    caption: str
    columns: Sequence[GridColumn]
    rows: Callable[[pd.DataFrame], pd.DataFrame]  # from the rows that the query gives


@dataclass(frozen=True)
class Shown:
    """One experiment in the report; all of its page, for one network.

    ``drawn`` makes of the rows of its query what the figure draws, which is also the figure's CSV.
    """

    name: str  # of the experiment
    title: str
    paper: str  # whose question it is, with figures and tables
    says: Sequence[str]  # what the paper says; a paragraph each
    ours: Sequence[str]  # how ours is measured, and where it differs
    drawn: Callable[[pd.DataFrame], pd.DataFrame]
    figure: Callable[[pd.DataFrame], Figure]
    numbers: Sequence[Numbers]


def as_given(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the query as they are."""
    return frame


def published(table: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Rows that are the paper's, whatever ours are."""
    return lambda _: table


def by_depth(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of the datasets of the report and of the layers of the network."""
    return frame.sort_values(["images_per_class", "dataset", "depth"], kind="stable")


def paper_by_layer(ax: Axes, values: Sequence[float], depths: npt.ArrayLike) -> None:
    """Draw the paper's value of each layer, its layers spread over ours from first to last."""
    ours = np.asarray(depths, float)
    x = np.linspace(ours.min(), ours.max(), len(values))
    ax.plot(x, values, ":", color=GREY, marker="D", markersize=3.5, mfc="white", linewidth=1.1)


def paper_key(paper: str) -> Line2D:
    """The entry of the legend for :func:`paper_by_layer`."""
    return key(f"{paper}, their layers", GREY, ":", "D")

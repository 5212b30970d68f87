"""What the report shows of an experiment, and what their figures share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark.report.figures.canvas import GREY, key
from kdsspark.report.parts.grid import GridColumn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Frames = Mapping[str, pd.DataFrame]
"""Name of a query -> its rows, of one network."""


@dataclass(frozen=True)
class Picture:
    """A figure of an experiment's page. ``drawn`` makes of the rows of its query what it draws,
    which is also its CSV; ``figure`` draws that.
    """

    name: str  # of its files
    title: str
    query: str  # by its name
    text: Sequence[str]  # how to read it, and where ours differs; a paragraph each
    drawn: Callable[[pd.DataFrame], pd.DataFrame]
    figure: Callable[[pd.DataFrame], Figure]


@dataclass(frozen=True)
class Numbers:
    """A table of an experiment's page: its caption, its columns, and how its rows are made."""

    caption: str
    columns: Sequence[GridColumn]
    rows: Callable[[Frames], pd.DataFrame]  # from what the queries give


@dataclass(frozen=True)
class Shown:
    """One experiment in the report; all of its page, for one network."""

    name: str  # of the experiment
    title: str
    paper: str  # whose question it is, with figures and tables
    says: Sequence[str]  # what the paper says; a paragraph each
    pictures: Sequence[Picture]
    numbers: Sequence[Numbers]


def as_given(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the query as they are."""
    return frame


def published(table: pd.DataFrame) -> Callable[[Frames], pd.DataFrame]:
    """Rows that are the paper's, whatever ours are."""
    return lambda _: table


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of the datasets of the report and of the layers of the network."""
    return frame.sort_values(["images_per_class", "dataset", "depth"], kind="stable")


def last_convolution(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last convolutional layer, or of the last one where there is none.

    ``frame`` has kind and depth.
    """
    convolutions = frame[frame["kind"] == "conv"]
    some = convolutions if len(convolutions) else frame
    found: pd.DataFrame = frame[frame["depth"] == some["depth"].max()]
    return found


def paper_by_layer(ax: Axes, values: Sequence[float], depths: npt.ArrayLike) -> None:
    """Draw the paper's value of each layer, its layers spread over ours from first to last."""
    ours = np.asarray(depths, float)
    x = np.linspace(ours.min(), ours.max(), len(values))
    ax.plot(x, values, ":", color=GREY, marker="D", markersize=3.5, mfc="white", linewidth=1.1)


def paper_key(paper: str) -> Line2D:
    """The entry of the legend for :func:`paper_by_layer`."""
    return key(f"{paper}, their layers", GREY, ":", "D")

"""Figure 7 of Zeiler & Fergus (2014): what a grey square hides, one image a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES: Final = (
    "(a) image",
    "(b) strongest map",
    "(c) its projection",
    "(d) probability",
    "(e) likeliest class",
)
_COLOURS: Final = (SKY, VERMILION, GREEN, ORANGE, PURPLE, BLUE)
_NAMED: Final = 5  # classes in the legend of a row; the others are grey


@dataclass(frozen=True, eq=False)
class Example:
    """One row of the figure. ``image`` and ``projection``: uint8 [size, size, 3].

    The values at every place of the square are [rows, columns]; ``plain_...`` are without a square.
    What is of classes is None without a classifier.
    """

    image: npt.NDArray[np.uint8]
    projection: npt.NDArray[np.uint8]
    class_name: str  # of the image
    layer: str
    unit: int
    side: int
    stride: int
    activation: npt.NDArray[np.float64]
    plain_activation: float
    probability: npt.NDArray[np.float64] | None = None
    plain_probability: float | None = None
    probability_of: str = ""  # the class that is followed, where it is not that of the image
    likeliest: npt.NDArray[np.int64] | None = None
    names: Mapping[int, str] = field(default_factory=dict)  # of the likeliest classes


@canvas.styled
def occlusion(examples: Sequence[Example]) -> Figure:
    """Five panels a row: the image, and what the network makes of it as a square hides a place.

    A place is drawn where the middle of its square lay.
    """
    size = canvas.WIDTH, 1.55 * len(examples) + 0.25
    figure = canvas.blank(*size)
    rows = figure.subplots(len(examples), len(_TITLES), squeeze=False)
    for axes, example in zip(rows, examples, strict=True):
        _row(list(axes), example)
    for ax, title in zip(rows[0], _TITLES, strict=True):
        ax.set_title(title, loc="left")
    return figure


def _row(axes: Sequence[Axes], example: Example) -> None:
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    image, activation, projection, probability, likeliest = axes
    image.imshow(example.image)
    image.set_xlabel(canvas.shorten(example.class_name, 24))
    _square(image, example)
    _heat(activation, example, example.activation, example.plain_activation)
    activation.set_xlabel(f"{example.layer}, unit {example.unit}")
    projection.imshow(example.projection)
    projection.set_xlabel("to its maximum")
    if example.probability is None or example.likeliest is None:
        for ax in (probability, likeliest):
            ax.text(0.5, 0.5, "no classifier", transform=ax.transAxes, ha="center", color=GREY)
        return
    _heat(probability, example, example.probability, 1.0)
    of = f"\n{canvas.shorten(example.probability_of, 24)}" if example.probability_of else ""
    probability.set_xlabel(f"{example.plain_probability:.2f} unoccluded{of}")
    _classes(likeliest, example, example.likeliest)


def _square(ax: Axes, example: Example) -> None:
    """The square at the place where it costs most, as an outline."""
    cost = example.activation if example.probability is None else example.probability
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    corner = example.stride * float(column) - 0.5, example.stride * float(row) - 0.5
    ax.add_patch(_outline(corner, example.side))


def _outline(corner: tuple[float, float], side: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, side, side, fill=False, edgecolor="white", linewidth=1.2)


def _heat(ax: Axes, example: Example, values: npt.NDArray[np.float64], highest: float) -> None:
    """Values at their places, from 0 to ``highest``; blue is low."""
    drawn = ax.imshow(
        values, cmap="viridis", vmin=0, vmax=max(highest, 1e-9), extent=_extent(example)
    )
    _whole(ax, example)
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.7, pad=0.02, aspect=16)
    bar.set_ticks([0, highest], labels=["0", _short(highest)])
    bar.outline.set_visible(False)


def _short(value: float) -> str:
    return canvas.thousands(value) if value >= 100 else f"{value:.3g}"


def _classes(ax: Axes, example: Example, found: npt.NDArray[np.int64]) -> None:
    from matplotlib.colors import ListedColormap

    order = [c for c, _ in Counter(found.ravel().tolist()).most_common(_NAMED)]
    number = np.full(found.shape, len(order))
    for i, c in enumerate(order):
        number[found == c] = i
    colours = ListedColormap([*_COLOURS[: len(order)], GREY])
    ax.imshow(number, cmap=colours, vmin=-0.5, vmax=len(order) + 0.5, extent=_extent(example))
    _whole(ax, example)
    keys = [
        canvas.key(canvas.shorten(example.names[c], 22), _COLOURS[i], "", "o")
        for i, c in enumerate(order)
    ]
    keys += [canvas.key("others", GREY, "", "o")] if (number == len(order)).any() else []
    ax.legend(handles=keys, loc="upper left", bbox_to_anchor=(1, 1.02), fontsize=6, handlelength=1)


def _extent(example: Example) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of the grid in pixels of the image: cells about the middles."""
    first = (example.side - example.stride) / 2 - 0.5
    last = first + example.stride * len(example.activation)
    return first, last, last, first


def _whole(ax: Axes, example: Example) -> None:
    """The limits of the image, so that all panels are alike."""
    height, width, _ = example.image.shape
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)

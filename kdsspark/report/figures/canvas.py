"""The look of every figure: grids of panels, one legend above; and figures as SVG and PNG bytes.

Figures are ``matplotlib.figure.Figure`` and never of pyplot, which keeps global state and may need
a display. Text is never parsed as mathematics, because a layer may have the name ``$``. Matplotlib
takes most of a second to import, and the process that writes the pages rarely draws, so the modules
of figures import it when one is drawn.
"""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH: Final = 8.0
"""Width of a figure in inches."""
NARROW: Final = 5.4
"""Width of a figure with a single panel."""

# Okabe and Ito's colours, safe for colour-blind readers, without yellow, too faint for lines.
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)
RED, INK, GREY, SHADE = "#c4161c", "#222222", "#8a8a8a", "#f1f1f4"
DASHES: Final = (0, (2.2, 1.6))

_STYLE: Final[Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 4,
    "axes.titley": 1.0,  # not looked for anew at every drawing
    "axes.labelsize": 8,
    "axes.edgecolor": GREY,
    "figure.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e3e3e6",
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "text.parse_math": False,
    "text.usetex": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "kdsspark",
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.05,
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorator: the function creates (or writes) its figure in the style of the report."""

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        import matplotlib as mpl

        with mpl.rc_context(_STYLE):
            return function(*args, **kwargs)

    return wrapped


_CYCLE = (INK, BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "x", "D")


def thousands(value: float, _: object = None) -> str:
    """Tick label: ``12,416``."""
    return f"{value:,.0f}"


def signed(value: float, _: object = None) -> str:
    """Tick label with a minus sign instead of a hyphen."""
    return f"{value:.2g}".replace("-", "\u2212")


def decimal(value: float) -> str:
    """A distance in a figure: three digits, with a minus sign instead of a hyphen."""
    return f"{value:.3f}".replace("-", "\u2212")


def line_style(index: int) -> dict[str, Any]:
    """Plot arguments of line ``index``: 140 differ, and the first 20 differ without colour."""
    return {
        "color": _CYCLE[index % len(_CYCLE)],
        "linestyle": _LINES[index % len(_LINES)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "markersize": 3.5,
        "markerfacecolor": _CYCLE[index % len(_CYCLE)] if index % len(_MARKERS) == 0 else "white",
        "markevery": (3 * index % 10, 10),
        "linewidth": 1.2,
    }


def colour_of(depth: int, last: int) -> str:
    """The colour of a layer by its depth, from light to dark; ``last`` is the last layer's."""
    import matplotlib as mpl

    return mpl.colors.to_hex(mpl.colormaps["viridis_r"](depth / max(1, last)))


def blank(width: float, height: float) -> Figure:
    """A figure without panels, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panels(titles: Sequence[str], height: float) -> tuple[Figure, list[Axes]]:
    """A figure with one titled panel per title, up to three in a row, ``height`` inches each.

    All panels share their axes. If they do not fill the grid, the first row stays short, because
    the labels of x stand below the last row.
    """
    columns = 2 if len(titles) == 4 else min(len(titles), 3)
    rows = math.ceil(len(titles) / columns)
    width = WIDTH if columns > 1 else NARROW
    figure = blank(width, rows * height + 0.7)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in grid[0, columns - (grid.size - len(titles)) :]:
        ax.remove()
    for ax, title in zip(figure.axes, titles, strict=True):
        ax.set_title(shorten(title, 100 // columns), loc="left")
    return figure, figure.axes


def stack(titles: Sequence[str], height: float, width: float) -> tuple[Figure, list[Axes]]:
    """A figure with titled panels one above the other, ``height`` inches each, with one x axis."""
    figure = blank(width, len(titles) * height + 0.7)
    axes = list(figure.subplots(len(titles), 1, sharex=True, squeeze=False)[:, 0])
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(shorten(title, 100), loc="left")
    return figure, axes


def layer_axis(
    ax: Axes, depths: Sequence[int], layers: Sequence[str], kinds: Sequence[str], room: int
) -> None:
    """Label x with layers in the order of the network, at most ``room`` of them, and shade fc."""
    step = math.ceil(len(depths) / room)
    names = [shorten(layer, 14) for layer in layers[::step]]
    ax.set_xticks(depths[::step], names, rotation=90)
    ax.set_xlim(depths[0] - 0.6, depths[-1] + 0.6)
    for depth, kind in zip(depths, kinds, strict=True):
        if kind == "fc":
            ax.axvspan(depth - 0.5, depth + 0.5, color=SHADE, linewidth=0, aa=False, zorder=0)


def key(label: str, color: str, line: Any = "-", marker: str = "", width: float = 1.3) -> Line2D:
    """An entry of the legend. As in the panels, circles are filled and other markers are open."""
    from matplotlib.lines import Line2D

    face = color if marker == "o" else "white"
    return Line2D(
        [],
        [],
        label=shorten(label, 40),
        color=color,
        linestyle=line,
        marker=marker,
        markersize=4.5,
        markerfacecolor=face,
        linewidth=width,
    )


def legend(figure: Figure, *entries: Line2D) -> None:
    """One legend for all panels, above them."""
    if not entries:
        return
    points = 58 + 5 * max(len(str(entry.get_label())) for entry in entries)  # about, of one column
    columns = max(1, min(len(entries), 4, int(72 * figure.get_figwidth() / points)))
    figure.legend(handles=entries, loc="outside upper left", ncols=columns, handlelength=3)


def nothing(ax: Axes) -> None:
    """Write into the panel why it is empty."""
    text = "undefined: one class only,\nor no finite value"
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)


def shorten(text: str, length: int) -> str:
    """``text`` in at most ``length`` characters, cut in the middle."""
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1]}\u2026{text[-tail:]}"


@styled
def settle(figure: Figure) -> None:
    """Lay the panels out for good; otherwise SVG and PNG would each do so, and measure all text."""
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        if not axis.get_label_text():
            axis.set_label_coords(0.5, 0.5)  # an empty one is not placed beside the ticks
    if engine := figure.get_layout_engine():
        with _any_script():
            engine.execute(figure)
        figure.set_layout_engine(None)  # not "none", for which all would be drawn twice


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes every time."""
    return _bytes(
        figure, "svg", dpi=150, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )


def png(figure: Figure) -> bytes:
    """The figure as PNG at 150 dots per inch, the same bytes every time."""
    return _bytes(figure, "png", dpi=150, metadata={"Software": None})


@styled
def _bytes(figure: Figure, kind: str, dpi: int, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    with _any_script():
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _any_script() -> Iterator[None]:
    """The font may lack the script of a layer's name: it draws a box, and that is enough."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield

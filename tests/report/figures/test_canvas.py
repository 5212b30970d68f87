"""The look of figures: grids, lines, labels, and files that are the same every time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from kdsspark.report.figures import FIGURES, canvas, curves
from tests.report.synthetic import Study, make_tables, run_queries


def test_fifty_layers_are_thinned() -> None:
    layers = [f"layer{i}" for i in range(50)]
    ax = Figure().subplots()
    canvas.layer_axis(ax, list(range(50)), layers, ["conv"] * 50, room=17)
    assert [t.get_text() for t in ax.get_xticklabels()] == layers[::3]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (canvas.thousands(12416), "12,416"),
        (canvas.signed(-0.251), "\u22120.25"),
        (canvas.decimal(-0.1206), "\u22120.121"),
    ],
)
def test_numbers_on_axes(number: str, text: str) -> None:
    assert number == text


def test_stacked_panels_share_x() -> None:
    figure, (upper, lower) = canvas.stack(["a", "b"], 2.0, 5.0)
    assert figure.get_size_inches().tolist() == [5.0, 4.7]
    upper.set_xlim(0, 3)
    assert lower.get_xlim() == (0, 3)
    assert [ax.get_title(loc="left") for ax in (upper, lower)] == ["a", "b"]


def test_legends_have_as_many_columns_as_fit() -> None:
    for length, columns in ((3, 4), (40, 2)):
        figure = Figure(figsize=(canvas.WIDTH, 2))
        canvas.legend(figure, *[canvas.key("x" * length, canvas.BLUE) for _ in range(5)])
        assert figure.legends[0]._ncols == columns
    bare = Figure()
    canvas.legend(bare)
    assert bare.legends == []


@pytest.mark.parametrize("n", range(1, 13))
def test_panels_fill_the_grid_from_below(n: int) -> None:
    names = [f"d{i}" for i in range(n)]
    figure, axes = canvas.panels(names, 1.0)
    assert [ax.get_title(loc="left") for ax in axes] == names
    below = [ax for ax in axes if ax.get_subplotspec().is_last_row()]
    assert len(below) == axes[0].get_subplotspec().get_gridspec().ncols
    assert figure.get_figwidth() == (canvas.NARROW if n == 1 else canvas.WIDTH)


def test_lines_differ_without_colour() -> None:
    styles = [canvas.line_style(i) for i in range(140)]
    without = {(s["linestyle"], s["marker"]) for s in styles[:20]}
    assert len(without) == 20
    for a, b in itertools.combinations(styles, 2):
        keys = ("color", "linestyle", "marker")
        assert [a[k] for k in keys] != [b[k] for k in keys]


def test_files_are_the_same_every_time(frame: Callable[[str], pd.DataFrame]) -> None:
    rows = frame("figure9")
    one, two = (curves.figure9(rows[rows["dataset"] == "wood"]) for _ in range(2))
    assert canvas.svg(one) == canvas.svg(two)
    assert canvas.png(one) == canvas.png(two)
    assert b"<dc:date>" not in canvas.svg(one)


@pytest.mark.parametrize("name", ["figure5", "figure9", "davg"])
def test_a_figure_is_laid_out_as_by_matplotlib(
    frame: Callable[[str], pd.DataFrame], name: str
) -> None:
    settled, plain = (FIGURES[name](frame(name)) for _ in range(2))
    canvas.settle(settled)
    plain.draw_without_rendering()
    for one, other in zip(settled.axes, plain.axes, strict=True):
        np.testing.assert_allclose(
            one.get_position().bounds, other.get_position().bounds, atol=0.01
        )
    assert settled.get_layout_engine() is None
    svg = canvas.svg(settled)
    canvas.png(settled)
    assert canvas.svg(settled) == svg


def test_png_has_150_dots_per_inch(tmp_path: Path, frame: Callable[[str], pd.DataFrame]) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(canvas.png(curves.davg(frame("davg"))))
    with Image.open(path) as image:
        assert image.width == 8 * 150
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_layer_names_are_plain_text() -> None:
    """Columns of ready-made embeddings may be called anything, mathematics and CJK included."""
    layers = [("$x_{1", "other"), ("\u5c64", "other"), ("n" * 300, "other")]
    tables = make_tables([Study("given", layers, {"mine": ["a", "b", "c"]}, units=5)])
    figure = FIGURES["figure5"](run_queries(tables)["figure5"])
    canvas.settle(figure)
    assert canvas.svg(figure)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[:2] == ["$x_{1", "\u5c64"]
    assert len(labels[2]) == 14


def test_shorten() -> None:
    assert canvas.shorten("conv1_1", 14) == "conv1_1"
    assert canvas.shorten("abcdefghij", 7) == "abcd\u2026ij"

"""The figures: what is drawn equals what the tables say."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from kdsspark.report import canvas
from kdsspark.report.data import ReportData
from kdsspark.report.figures import FIGURES, curves, distribution, figure_data, layers
from kdsspark.report.figures.panels import datasets_in_order
from tests.report.synthetic import VGG_LAYERS, Study, Tables, make_tables, run_queries


@pytest.fixture(scope="module")
def frame(report: ReportData) -> Callable[[str], pd.DataFrame]:
    """The rows of VGG16 in the result of a query."""

    def of_vgg(name: str) -> pd.DataFrame:
        rows = report.frames[name]
        return rows[rows["network"] == "vgg16"]

    return of_vgg


def titles(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


def birds(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["dataset"] == "birds"]


def test_layer_spread_mirrors_the_negative_side() -> None:
    rows = pd.DataFrame(
        {
            "depth": [0, 0, 1, 1],
            "sign": ["+", "-", "+", "-"],
            "mode": [0.2, 0.1, 0.05, np.nan],  # the third lies below its bar; the last is null
            "low": [0.1, 0.05, 0.1, np.nan],
            "high": [0.3, 0.2, 0.4, np.nan],
        }
    )
    bars_plus, plus, bars_minus, minus, _ = layers.layer_spread(Figure().subplots(), rows)
    assert plus.get_xydata().tolist() == [[0, 0.2], [1, 0.05]]
    assert minus.get_xydata().tolist() == [[0, -0.1]]
    assert [s.tolist() for s in bars_plus.get_segments()] == [
        [[0, 0.1], [0, 0.3]],
        [[1, 0.1], [1, 0.4]],
    ]
    assert [s.tolist() for s in bars_minus.get_segments()] == [[[0, -0.05], [0, -0.2]]]


def test_layers_stand_in_the_order_of_the_network(frame: Callable[[str], pd.DataFrame]) -> None:
    shuffled = frame("figure5").sample(frac=1, random_state=0)
    figure = layers.figure5(shuffled)
    assert titles(figure) == ["birds", "mono", "wood"]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == [name for name, _ in VGG_LAYERS]


def test_fifty_layers_are_thinned() -> None:
    layers = [f"layer{i}" for i in range(50)]
    ax = Figure().subplots()
    canvas.layer_axis(ax, list(range(50)), layers, ["conv"] * 50, room=17)
    assert [t.get_text() for t in ax.get_xticklabels()] == layers[::3]


def test_figure6_leaves_out_kinds_without_pairs(report: ReportData) -> None:
    rows = report.frames["figure6"].assign(n_images=5000)
    both = distribution.figure6(rows[rows["network"] == "vgg16"])
    assert titles(both) == ["convolutional", "fully connected"]
    assert titles(distribution.figure6(rows[rows["network"] == "no-fc"])) == ["convolutional"]
    for line in both.axes[0].get_lines():
        assert line.get_ydata().sum() == pytest.approx(100)
    assert [line.get_text() for line in both.legends[0].get_texts()] == ["birds", "wood"]


def test_figure8_has_a_panel_for_each_group(report: ReportData) -> None:
    rows = report.frames["figure6"].assign(n_images=5000)
    groups = {"birds": "c", "wood": "a", "mono": "zoo"}  # mono has no pairs
    rows = rows[rows["network"] == "vgg16"]
    rows = rows[rows["kind"] == "fc"].assign(group=rows["dataset"].map(groups))
    figure = FIGURES["figure8"](rows)
    assert titles(figure) == ["(a)", "(c)"]
    wood, birds_ = (ax.get_lines() for ax in figure.axes)
    assert len(wood) == len(birds_) == 1
    want = rows[rows["dataset"] == "wood"].sort_values("bin")["percent"]
    np.testing.assert_array_equal(wood[0].get_ydata(), want)
    style = [(line.get_linestyle(), line.get_marker()) for line in (wood[0], birds_[0])]
    assert style[0] != style[1]


def test_datasets_come_by_images_per_class_then_name() -> None:
    sizes = {"x": 60.0, "b": 50.0, "a": 60.0}
    rows = pd.DataFrame({"dataset": [*sizes, "x"], "images_per_class": [*sizes.values(), 60.0]})
    assert datasets_in_order(rows) == ["b", "a", "x"]


def test_data_of_figure9_has_a_row_per_curve(frame: Callable[[str], pd.DataFrame]) -> None:
    rows = frame("figure9")
    data = figure_data("figure9", rows)
    assert len(data) == (12 + 1 + 7) * 2 * 2
    one = "dataset == 'wood' and labels == 'shuffled' and class_id == 3 and sign == '-'"
    curve = rows.query(one).set_index("x")
    got = data.query(one).iloc[0]
    assert got["t_plus"] == curve["t_plus"].iloc[0]
    for x in (0, 0.07, 0.29, 1):
        assert got[f"x={x:.2f}"] == curve["n_features"].loc[x]
    assert data.query("dataset == 'mono'")["t_plus"].isna().all()


def test_dead_features_do_not_flatten_figure6(report: ReportData) -> None:
    """40 % of the units of no-fc are dead, and all their pairs are in the bin at 0."""
    rows = report.frames["figure6"].assign(n_images=5000)
    rows = rows[rows["network"] == "no-fc"]
    (ax,) = distribution.figure6(rows).axes
    others = rows.loc[rows["bin"] != 100, "percent"].max()
    assert rows["percent"].max() > 30
    assert others < ax.get_ylim()[1] < 1.5 * others
    assert f"{rows['percent'].max():.1f} %" in ax.texts[0].get_text()


def test_few_images_draw_no_comb_in_figure6() -> None:
    """Of ninety images, distances can be 1/90 apart; here they are 1/10, the worst there is."""
    edges = np.linspace(-1, 1, 201)
    percent = np.where(np.arange(200) % 10 == 5, 4.5, 0)
    percent[100] = 10.0  # dead features
    rows = pd.DataFrame({"lo": edges[:-1], "hi": edges[1:], "percent": percent})
    rows = rows.assign(network="n", dataset="d", kind="conv", n_images=90, images_per_class=9.0)
    (line,) = distribution.figure6(rows).axes[0].get_lines()
    drawn = line.get_ydata()
    assert drawn[100] == 10.0
    windows = [percent[i - 5 : i + 6] for i in range(5, 90)]
    np.testing.assert_allclose(drawn[5:90], [window.mean() for window in windows])
    assert np.delete(drawn, 100).max() < 1.0

    many = distribution.figure6(rows.assign(n_images=1000)).axes[0].get_lines()[0]
    np.testing.assert_array_equal(many.get_ydata(), percent)


def test_figure9_draws_every_class_and_their_mean(
    tables: Tables, frame: Callable[[str], pd.DataFrame]
) -> None:
    ax = Figure().subplots()
    curves.class_curves(ax, birds(frame("figure9")))
    bundles = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert [len(b.get_segments()) for b in bundles] == [12] * 4
    true_plus, true_minus, shuffled_plus, _, t_plus, t_minus = ax.get_lines()
    best = tables["thresholds"].query("network == 'vgg16' and dataset == 'birds'").iloc[0]
    assert list(t_plus.get_xdata()) == [best["t_plus"]] * 2
    assert list(t_minus.get_xdata()) == [best["t_minus"]] * 2
    # The height between the means is davg, which another table holds.
    gap = true_plus.get_ydata() - shuffled_plus.get_ydata()
    davg = tables["davg"].query("network == 'vgg16' and dataset == 'birds' and sign == '+'")
    np.testing.assert_allclose(gap, davg["davg"].to_numpy()[::10], atol=1e-9)
    assert true_minus.get_xdata().min() == -1


def test_figure10_draws_percent(tables: Tables, frame: Callable[[str], pd.DataFrame]) -> None:
    true, shuffled = layers.layer_kept(Figure().subplots(), birds(frame("figure10")))
    raw = tables["layers"].query("network == 'vgg16' and dataset == 'birds'")
    for line, labels in ((true, "true"), (shuffled, "shuffled")):
        kept = raw[raw["labels"] == labels].groupby("layer", sort=False)["kept"].sum()
        np.testing.assert_allclose(line.get_ydata(), 100 * kept.to_numpy())


def test_davg_marks_its_maxima(frame: Callable[[str], pd.DataFrame]) -> None:
    rows = birds(frame("davg"))
    plus, at_plus, minus, at_minus, _ = curves.davg_curves(Figure().subplots(), rows)
    for line, mark in ((plus, at_plus), (minus, at_minus)):
        top = int(np.argmax(line.get_ydata()))
        assert mark.get_xydata().tolist() == [[line.get_xdata()[top], line.get_ydata()[top]]]


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "figure8"])
def test_a_dataset_of_one_class_alone_is_drawn_as_empty(name: str) -> None:
    study = Study("n", [("a", "conv"), ("b", "fc")], {"mono": ["only"]}, units=3)
    figure = FIGURES[name](run_queries(make_tables([study]))[name])
    assert [t.get_text().split(":")[0] for ax in figure.axes for t in ax.texts] == ["undefined"]
    assert canvas.svg(figure)


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
    one, two = (curves.figure9(frame("figure9")) for _ in range(2))
    assert canvas.svg(one) == canvas.svg(two)
    assert canvas.png(one) == canvas.png(two)
    assert b"<dc:date>" not in canvas.svg(one)


def test_png_has_150_dots_per_inch(tmp_path, frame: Callable[[str], pd.DataFrame]) -> None:
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
    assert canvas.svg(figure)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[:2] == ["$x_{1", "\u5c64"]
    assert len(labels[2]) == 14


def test_shorten() -> None:
    assert canvas.shorten("conv1_1", 14) == "conv1_1"
    assert canvas.shorten("abcdefghij", 7) == "abcd\u2026ij"

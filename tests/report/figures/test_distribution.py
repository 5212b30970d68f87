"""Figures 6 and 8: the distribution of ks, by kind of layer and by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kdsspark.report.data import ReportData
from kdsspark.report.figures import distribution


def titles(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


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
    figure = distribution.figure8(rows)
    assert titles(figure) == ["(a)", "(c)"]
    wood, birds_ = (ax.get_lines() for ax in figure.axes)
    assert len(wood) == len(birds_) == 1
    want = rows[rows["dataset"] == "wood"].sort_values("bin")["percent"]
    np.testing.assert_array_equal(wood[0].get_ydata(), want)
    style = [(line.get_linestyle(), line.get_marker()) for line in (wood[0], birds_[0])]
    assert style[0] != style[1]


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

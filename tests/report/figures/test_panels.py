"""One panel per dataset, in the order of the paper; and how far an axis reaches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from kdsspark.report.figures import FIGURES, canvas, panels
from tests.report.synthetic import Study, make_tables, run_queries


def rows_of(sizes: dict[str, float], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"dataset": list(sizes), "images_per_class": list(sizes.values())})
    return frame.assign(**columns)


def test_datasets_come_by_images_per_class_then_name() -> None:
    rows = rows_of({"x": 60.0, "b": 50.0, "a": 60.0})
    assert panels.datasets_in_order(pd.concat([rows, rows])) == ["b", "a", "x"]


def test_each_dataset_has_its_rows_in_its_panel() -> None:
    drawn: dict[str, list[float]] = {}

    def draw(ax: Axes, rows: pd.DataFrame) -> list[Artist]:
        drawn[ax.get_title(loc="left")] = rows["y"].tolist()
        return []

    rows = rows_of({"x": 60.0, "b": 50.0, "empty": 70.0}, y=[1.0, 2.0, np.nan])
    figure = panels.dataset_panels(rows, 1.0, draw, "y")
    assert drawn == {"b": [2.0], "x": [1.0]}
    assert [len(ax.texts) for ax in figure.axes] == [0, 0, 1]


def test_layers_are_on_x_and_fully_connected_ones_are_shaded() -> None:
    layers = {"depth": [2, 0, 1], "layer": ["fc", "a", "b"], "kind": ["fc", "conv", "conv"]}
    rows = pd.DataFrame(layers).assign(dataset="d", images_per_class=9.0, y=1.0)
    (ax,) = panels.layer_panels(rows, lambda *_: [], "y").axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "fc"]
    (shade,) = ax.patches
    assert (shade.get_x(), shade.get_width()) == (1.5, 1.0)


def test_the_axis_reaches_a_little_beyond_what_can_be_seen() -> None:
    x = pd.Series([-0.5, 0.1, 0.2, 0.9])
    assert panels.reach(x, pd.Series([0, 1000, 6, 4])) == pytest.approx(1.05 * 0.2)
    assert panels.reach(x, pd.Series([6, 1000, 6, 4])) == pytest.approx(1.05 * 0.5)
    assert panels.reach(x, pd.Series([0, 10, 10, 10])) == pytest.approx(1.05 * 0.9)
    assert panels.reach(pd.Series([0.99]), pd.Series([1])) == 1
    assert panels.reach(x[:0], x[:0]) == 1


def test_markers_shrink_where_there_are_many() -> None:
    assert panels.marker_size(np.arange(20)) > panels.marker_size(np.arange(21))


@pytest.fixture(scope="module")
def mono() -> dict[str, pd.DataFrame]:
    """Nothing but a dataset of one class."""
    study = Study("n", [("a", "conv"), ("b", "fc")], {"mono": ["only"]}, units=3)
    return run_queries(make_tables([study]))


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "figure8"])
def test_a_dataset_of_one_class_alone_is_drawn_as_empty(
    mono: dict[str, pd.DataFrame], name: str
) -> None:
    figure = FIGURES[name](mono[name])
    assert [t.get_text().split(":")[0] for ax in figure.axes for t in ax.texts] == ["undefined"]
    assert canvas.svg(figure)

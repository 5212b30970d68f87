"""The numbers and figures of invariance, by hand-made rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.experiments.chosen import invariance
from kdsspark.report.figures import canvas
from tests.report.experiments.chosen.made import png


def views(dataset: str, image: str, **changed: Any) -> list[dict[str, Any]]:
    """Two layers; the first jumps at once, the second moves in proportion; and the classifier."""
    amounts = {"shift": np.arange(-6, 7), "scale": np.array([1, 1.4, 1.8])}
    amounts["rotation"] = np.arange(0, 360, 90)
    rows = []
    for depth, layer in enumerate(("first", "last", "classes")):
        for change, values in amounts.items():
            for amount in values:
                away = abs(amount - (change == "scale"))
                if change == "rotation":
                    away = min(away, 360 - away)
                row = {
                    "network": "n", "dataset": dataset, "images_per_class": 2.0, "depth": depth,
                    "layer": layer, "is_classifier": layer == "classes", "image_id": image,
                    "class_name": "dog", "change": change, "amount": float(amount),
                    "distance": float(away > 0) * 4 if depth == 0 else float(away), "length": 8.0,
                    "true_class": None, "probability": None, "likeliest_name": None,
                    "picture": None,
                }  # fmt: skip
                if depth == 0:
                    row |= {"true_class": True, "probability": 1 / (1 + away), "picture": png(9)}
                    row["likeliest_name"] = "dog"
                rows.append(row | changed)
    return rows


def test_how_much_of_the_largest_distance_the_first_step_reaches() -> None:
    frame = pd.DataFrame(views("birds", "1") + views("birds", "2"))
    found = invariance.rows({"invariance": frame}).set_index(["layer", "change"])
    first, last = found.loc[("first", "shift")], found.loc[("last", "shift")]
    assert (first["largest"], last["largest"]) == (0.5, 0.75)
    assert (first["first"], first["images"]) == (1, 2)
    assert last["first"] == pytest.approx(last["linear"]) == pytest.approx(1 / 6)
    assert found.loc[("last", "rotation"), "linear"] == 90 / 180
    assert found.loc[("last", "rotation"), "first"] == 90 / 180
    assert found.loc[("last", "scale"), "step"] == pytest.approx(0.4)


def test_the_least_probability_and_where() -> None:
    frame = pd.DataFrame(views("birds", "1"))
    found = invariance.chances({"invariance": frame}).set_index("change")
    assert found.loc["shift", "plain"] == 1
    assert found.loc["shift", "least"] == pytest.approx(1 / 7)
    assert found.loc["rotation", "at"] == 180
    assert set(found["followed"]) == {"its class"}
    frame["probability"] = None
    none = invariance.chances({"invariance": frame})
    assert none.empty
    assert list(none.columns) == [*found.reset_index()[none.columns].columns]


def test_the_panels_of_the_invariance_figure() -> None:
    frame = invariance.drawn(pd.DataFrame(views("birds", "1") + views("birds", "2")))
    assert set(frame["layer"]) == {"first", "last"}  # not the classifier
    figure = invariance.figure(frame)
    panels = np.array(figure.axes, object).reshape(3, 4)
    assert [ax.get_title("left") for ax in panels[0]] == [
        "images", "distance, first", "distance, last", "probability",
    ]  # fmt: skip
    shift, scale, rotation = panels
    assert [len(ax.lines) for ax in shift] == [0, 2, 2, 2]
    x, y = shift[2].lines[0].get_data()
    np.testing.assert_array_equal(x, np.arange(-6, 7))
    np.testing.assert_array_equal(y, np.abs(np.arange(-6, 7)))
    np.testing.assert_array_equal(rotation[2].lines[1].get_ydata(), [0, 90, 180, 90])
    for ax, n in ((shift[0], 13), (scale[0], 3)):
        shapes = [np.shape(image.get_array()) for image in ax.images]
        assert shapes == 2 * [(11, 11 * n, 3)]  # a picture of 8 pixels and its margin for each
    assert scale[3].get_xlabel() == "factor"
    assert canvas.png(figure).startswith(b"\x89PNG")


def test_a_network_of_one_layer_and_no_classifier_is_drawn() -> None:
    frame = pd.DataFrame(views("birds", "1"))
    alone = frame[frame["depth"] == 0].assign(probability=None)
    figure = invariance.figure(invariance.drawn(alone))
    assert [text.get_text() for text in figure.axes[3].texts] == ["no classifier"]
    assert figure.axes[1].get_title("left") == figure.axes[2].get_title("left")

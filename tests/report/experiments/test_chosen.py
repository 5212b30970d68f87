"""The numbers and figures of the experiments on chosen images, by hand-made rows."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kdsspark.report.experiments.chosen import correspondence, invariance, occlusion
from kdsspark.report.experiments.chosen.pictures import MOST, first_images
from kdsspark.report.figures import canvas
from kdsspark.report.parts.page import csv


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


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


def test_a_figure_has_room_for_eight_images_equally_many_of_each_dataset() -> None:
    rows = [
        {"images_per_class": 1.0, "dataset": d, "image_id": f"{d}{i}"}
        for d, n in (("a", 9), ("b", 2), ("c", 9))
        for i in range(n)
    ]
    found = first_images(pd.DataFrame(rows))
    assert len(found) == MOST == 8
    assert found["dataset"].value_counts().to_dict() == {"a": 3, "b": 2, "c": 3}
    assert found["image_id"].tolist()[:3] == ["a0", "a1", "a2"]


def places(**changed: Any) -> pd.DataFrame:
    """An image with a square at 2 x 2 places."""
    rows = [
        {
            "network": "n", "dataset": "birds", "images_per_class": 1.0, "layer": "last",
            "image_id": "1", "class_name": "dog", "unit": 3, "side": 4, "stride": 4,
            "true_class": False, "class_unit": 5.0, "plain_activation": 10.0,
            "plain_probability": 0.9, "plain_likeliest": 5.0, "plain_likeliest_name": "pug",
            "y": y, "x": x, "activation": 10.0 - 2 * y - x, "probability": 0.9 - 0.1 * x,
            "likeliest": 5.0 + (y > 0), "likeliest_name": "cat" if y else "pug",
            "picture": None if y or x else png(50), "projection": None if y or x else png(127),
        }
        for y in (0, 4) for x in (0, 4)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changed)


def test_what_the_square_costs() -> None:
    (row,) = occlusion.rows({"occlusion": places()}).to_dict("records")
    assert row["kept"] == pytest.approx(-2 / 10)
    assert (row["followed"], row["plain"], row["stays"]) == ("pug (likeliest)", 0.9, 0.5)
    assert (row["lowest"], row["highest"]) == (pytest.approx(0.5), 0.9)
    assert row["together"] == pytest.approx(0.4472136, abs=1e-6)  # by scipy.stats.spearmanr
    (true,) = occlusion.rows({"occlusion": places(true_class=True)}).to_dict("records")
    assert true["followed"] == "dog"


def test_without_a_classifier_only_the_map_counts() -> None:
    names = ["class_unit", "probability", "likeliest", "likeliest_name", "plain_probability"]
    frame = places(**dict.fromkeys(names))
    (row,) = occlusion.rows({"occlusion": frame}).to_dict("records")
    assert row["kept"] == pytest.approx(-0.2)
    assert row["followed"] is None
    drawn = occlusion.figure(frame)
    assert sum(text.get_text() == "no classifier" for ax in drawn.axes for text in ax.texts) == 2


def test_the_occlusion_figure_has_places_as_rows_and_columns() -> None:
    figure = occlusion.figure(places())
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    np.testing.assert_array_equal(panels[1].images[0].get_array(), [[10, 6], [2, -2]])
    legend = panels[4].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["pug", "cat"]
    unnamed = occlusion.figure(places(likeliest_name=None, plain_likeliest_name=None))
    panels = [ax for ax in unnamed.axes if ax.get_label() != "<colorbar>"]
    assert panels[3].get_xlabel() == "0.90 unoccluded\nclass 5"


def test_parts_are_held_against_random_boxes_of_their_size() -> None:
    rows = [
        {
            "network": "n", "dataset": "birds", "images_per_class": 1.0, "depth": depth,
            "kind": "conv", "layer": f"l{depth}", "part": part, "random": random, "n_images": 5,
            "n_skipped": 1, "n_values": 100, "draws": 1, "mean": mean, "deviation": 0.01,
            "delta": 20 * mean,
        }
        for depth, part, random, mean in [
            (0, "eye", False, 0.1), (0, "eye", True, 0.2), (1, "eye", False, 0.3),
            (1, "eye", True, 0.2), (0, "ear", False, 0.1), (0, "ear", True, 0.0),
            (1, "ear", False, 0.1), (1, "ear", True, 0.4),
        ]
    ]  # fmt: skip
    found = correspondence.drawn(pd.DataFrame(rows)).set_index(["part", "layer"])
    assert found.loc[("eye", "l0"), "ratio"] == pytest.approx(0.5)
    assert found.loc[("eye", "l1"), "ratio"] == pytest.approx(1.5)
    assert np.isnan(found.loc[("ear", "l0"), "ratio"])  # nothing differs at random
    figure = correspondence.figure(found.reset_index())
    (ax,) = figure.axes
    paper = ax.lines[-1]
    np.testing.assert_allclose(paper.get_xdata(), [4 / 6, 1])
    np.testing.assert_allclose(paper.get_ydata(), [0.0716667 / 0.107, 0.0686667 / 0.073], rtol=1e-5)


def test_pictures_are_left_out_of_the_csv() -> None:
    frame = pd.DataFrame({"a": [1, 2], "picture": [png(1), None], "name": [None, "x"]})
    assert csv(frame) == b"a,name\n1,\n2,x\n"

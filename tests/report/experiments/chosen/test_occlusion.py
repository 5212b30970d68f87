"""The numbers and figures of occlusion, by hand-made rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.experiments.chosen import occlusion
from tests.report.experiments.chosen.made import png


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

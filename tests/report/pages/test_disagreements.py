"""The part of the page about other distances."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kdsspark.report.data import Disagreements
from kdsspark.report.pages.disagreements import disagreeing
from kdsspark.report.parts import names
from tests.report.synthetic import SCRIPT

KEY = {"network": "vgg16", "dataset": "birds", "layer": "fc6", "unit": 7, "class_id": 0}
VALUES = {"class_name": SCRIPT, "distance": "bhattacharyya", "value": np.inf, "ks": -0.1}
EXTREMES = pd.DataFrame([{**KEY, **VALUES, "gap": 0.5, "rank": 0.75, "rank_ks": 0.25}])
BINS = pd.DataFrame({"lo": [0.0, 1], "hi": [1.0, 2], "inner": [0, 1], "outer": [4, 3]})


def test_networks_without_other_distances_have_no_part() -> None:
    assert disagreeing("vgg16", None, {}) is None
    assert disagreeing("no-fc", Disagreements(EXTREMES, EXTREMES.iloc[:0]), {}) is None


def test_a_distance_with_histograms_has_its_figure() -> None:
    bins = BINS.merge(EXTREMES, how="cross")
    made = disagreeing("vgg16", Disagreements(EXTREMES, bins), {})
    assert made is not None
    stem = "figures/vgg16/disagreement-bhattacharyya"
    assert {name: drawn.stem for name, drawn in made.figures.items()} == {"bhattacharyya": stem}
    assert set(made.files) == {
        "data/vgg16/disagreements.csv",
        *(f"{stem}.{suffix}" for suffix in ("svg", "png", "csv")),
    }


def test_without_histograms_there_is_the_table_alone() -> None:
    page = "units/vgg16/fc6/7.html"
    made = disagreeing("vgg16", Disagreements(EXTREMES, EXTREMES.iloc[:0]), {("fc6", 7): page})
    assert made is not None
    assert made.figures == {}
    (row,) = made.grid.cells
    cells = ["birds", "bhattacharyya", "fc6", "7", SCRIPT, "inf", "\u22120.100", "75.0 %", "25.0 %"]
    assert [cell.text for cell in row] == cells
    links = ["datasets/vgg16/birds.html", "layers/vgg16/fc6.html", page]
    links += [names.class_page("vgg16", "birds", SCRIPT)]
    assert [cell.href for cell in row if cell.href] == links

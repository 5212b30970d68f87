"""Figures 5 and 10: modes, bars and shares of layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kdsspark.report.figures import layers
from tests.report.synthetic import VGG_LAYERS, Tables


def birds(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["dataset"] == "birds"]


def titles(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


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


def test_figure10_draws_percent(tables: Tables, frame: Callable[[str], pd.DataFrame]) -> None:
    true, shuffled = layers.layer_kept(Figure().subplots(), birds(frame("figure10")))
    raw = tables["layers"].query("network == 'vgg16' and dataset == 'birds'")
    for line, labels in ((true, "true"), (shuffled, "shuffled")):
        kept = raw[raw["labels"] == labels].groupby("layer", sort=False)["kept"].sum()
        np.testing.assert_allclose(line.get_ydata(), 100 * kept.to_numpy())

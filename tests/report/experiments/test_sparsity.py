"""The figure of sparsity, by hand-made rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.sparsity import SHOWN, figure

ROWS = pd.DataFrame(
    {"dataset": "birds", "images_per_class": 9.0, "depth": [0, 1, 2], "kind": "conv"}
    | {"layer": ["a", "b", "c"], "mean": [0.5, 0.25, 0.75], "deviation": [0.125, 0.0, 0.25]}
)


def test_percent_above_zero_with_the_deviation_beside_the_papers() -> None:
    (ax,) = figure(ROWS).axes
    (container,) = ax.containers
    point, _, (bars,) = container.lines
    np.testing.assert_allclose(point.get_data(), [[0, 1, 2], [50, 25, 75]])
    ends = [[y for _, y in segment] for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [[37.5, 62.5], [25, 25], [50, 100]])
    others = [line for line in ax.lines if line is not point]
    paper = 100 * paper_seeds.SPARSITY["mean"]
    assert any(list(line.get_ydata()) == paper.tolist() for line in others)


def test_numbers_are_in_the_order_of_datasets_then_layers() -> None:
    several = pd.concat([ROWS.iloc[::-1], ROWS.assign(dataset="a", images_per_class=2.0)])
    found = SHOWN.numbers[0].rows({"sparsity": several})
    assert list(zip(found["dataset"], found["layer"], strict=True)) == [
        (dataset, layer) for dataset in ("a", "birds") for layer in "abc"
    ]

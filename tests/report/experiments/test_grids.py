"""The numbers and the figure of grids, by hand-made rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kdsspark.report.experiments.grids import by_layer, figure

# depth -> the side of its maps, and accuracy by pooling and grid
ACCURACIES = {
    0: (6, {("mean", 1): 0.5, ("max", 1): 0.4, ("mean", 3): 0.75, ("max", 3): 0.625}),
    1: (1, {("mean", 1): 0.25, ("max", 1): 0.375}),
}
ROWS = pd.DataFrame(
    [
        {"dataset": "birds", "images_per_class": 9.0, "depth": depth, "layer": f"l{depth}"}
        | {"kind": "conv", "map_side": side, "pooling": pooling, "grid": grid, "n_test": 8}
        | {"accuracy": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.1}
        for depth, (side, of) in ACCURACIES.items()
        for (pooling, grid), accuracy in of.items()
    ]
)


def test_a_row_has_the_accuracy_of_every_grid_and_the_interval_of_the_first() -> None:
    found = by_layer({"grids": ROWS.iloc[::-1]}).set_index("layer")
    assert found.index.tolist() == ["l0", "l1"]
    assert found.loc["l0", ["mean 1x1", "max 1x1", "mean 3x3", "max 3x3"]].tolist() == [
        *(0.5, 0.4, 0.75, 0.625),
    ]
    assert found.loc["l1", ["mean 3x3", "max 3x3"]].isna().all()
    assert found.loc["l0", ["low", "high"]].tolist() == [0.4, 0.6]


def test_a_grid_has_a_line_over_the_layers_that_it_fits() -> None:
    made = figure(ROWS)
    (ax,) = made.axes
    lines = [line for line in ax.lines if len(line.get_xdata())]
    drawn = [np.transpose(line.get_data()).tolist() for line in lines]
    assert drawn == [[[0, 50], [1, 25]], [[0, 75]], [[0, 40], [1, 37.5]], [[0, 62.5]]]
    (legend,) = made.legends
    assert len({(h.get_color(), h.get_linestyle()) for h in legend.legend_handles}) == 6

"""The numbers and the figure of ablations, by hand-made rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.ablations import by_layer, figure

FORMS = ["as_is", "binarised", "shuffled", "max"]
ACCURACIES = {
    ("birds", 9.0, 0, 6.0): [0.5, 0.4, 0.3, 0.2],
    ("birds", 9.0, 1, None): [0.8, 0.7],  # no maps, so no places
    ("wood", 4.0, 0, 6.0): [0.1, 0.2, 0.3, 0.4],
}
ROWS = pd.DataFrame(
    [
        {"dataset": dataset, "images_per_class": images, "depth": depth, "layer": f"l{depth}"}
        | {"map_side": side, "averaged": side and 1, "n_features": 7, "n_test": 8, "form": form}
        | {"accuracy": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.1, "kind": "conv"}
        for (dataset, images, depth, side), of in ACCURACIES.items()
        for form, accuracy in zip(FORMS, of, strict=False)
    ]
)


def test_a_row_has_every_form_and_the_interval_of_the_maps_as_they_are() -> None:
    found = by_layer({"ablations": ROWS}).set_index(["dataset", "layer"])
    assert found.index.tolist() == [("wood", "l0"), ("birds", "l0"), ("birds", "l1")]
    for (dataset, _, depth, _), expected in ACCURACIES.items():
        row = found.loc[(dataset, f"l{depth}")]
        assert row[FORMS].dropna().tolist() == expected
        assert (row["low"], row["high"]) == (expected[0] - 0.1, expected[0] + 0.1)


def test_forms_are_lines_beside_the_papers() -> None:
    wood, birds, paper = figure(ROWS).axes
    assert [line.get_ydata()[0] for line in wood.lines] == [10, 20, 30, 40]
    assert [list(line.get_ydata()) for line in birds.lines] == [[50, 80], [40, 70], [30], [20]]
    for line, form in zip(paper.lines, FORMS, strict=True):
        np.testing.assert_allclose(
            line.get_ydata(), 100 * paper_seeds.ABLATIONS[form].astype(float)
        )
        assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, 1)

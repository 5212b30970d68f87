"""The ratio and figure of correspondence, by hand-made rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.experiments.chosen import correspondence


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

"""The numbers and the figure of networks side by side, by hand-made rows."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.experiments.sources import figure, gains

ROWS = pd.DataFrame(
    [
        {"dataset": dataset, "images_per_class": 9.0, "sources": sources, "accuracy": accuracy}
        | {"n_sources": sources.count("+") + 1, "low": accuracy - 0.125, "high": accuracy + 0.125}
        for dataset, of in {
            "birds": {"one": 0.5, "two": 0.625, "one+two": 0.75},
            "wood": {"one": 0.5, "two": 0.25, "one+two": 0.375},
        }.items()
        for sources, accuracy in of.items()
    ]
)


def test_the_gain_is_over_the_best_network_alone_in_points() -> None:
    found = gains({"sources": ROWS}).set_index(["dataset", "sources"])["gain"]
    assert found["birds", "one+two"] == 12.5
    assert found["wood", "one+two"] == -12.5
    assert found.drop("one+two", level="sources").isna().all()


def test_networks_stand_from_left_to_right_with_their_intervals() -> None:
    ours, _ = figure(ROWS).axes
    assert [label.get_text() for label in ours.get_xticklabels()] == ["birds", "wood"]
    points = [container.lines[0].get_data() for container in ours.containers]
    assert [y.item() for _, y in points] == [50, 62.5, 75, 50, 25, 37.5]
    x = [x.item() for x, _ in points]
    assert x == pytest.approx([-0.3, 0, 0.3, 0.7, 1, 1.3])
    (bar,) = ours.containers[0].lines[2]
    assert [y for _, y in bar.get_segments()[0]] == [37.5, 62.5]
    colours = [container.lines[0].get_color() for container in ours.containers]
    assert len(set(colours[:3])) == 3
    assert colours[:3] == colours[3:]

"""A row of panels for each feature and class on which ks and another distance disagree."""

from __future__ import annotations

import pandas as pd

from kdsspark.report.figures import disagreement

BINS = {"lo": [0.0, 1, 2], "hi": [1.0, 2, 3], "inner": [0, 1, 3], "outer": [4, 3, 1]}
KEY = {"dataset": "d", "layer": "fc6", "unit": 7, "class_id": 0, "class_name": "$x_{"}
RANKS = {"distance": "jensen_shannon", "value": 0.662, "ks": 0.625, "gap": 0.5, "rank": 0.75}


def test_both_ranks_stand_above_the_panels() -> None:
    figure = disagreement(pd.DataFrame(BINS).assign(**KEY, **RANKS, rank_ks=0.25))
    left, right = figure.axes
    assert left.get_title(loc="left") == "jensen shannon 0.662: above 75.0 % of the pairs"
    assert right.get_title(loc="left") == "ks 0.625: above 25.0 %"
    assert (left.get_xlabel(), right.get_xlabel()) == ("fc6, unit 7", "$x_{ of d")
    assert right.texts[0].get_text() == "ks = 0.625"


def test_each_feature_and_class_has_its_row() -> None:
    first = pd.DataFrame(BINS).assign(**KEY, **RANKS, rank_ks=0.25)
    second = first.assign(unit=2, class_id=1, inner=first["outer"], outer=first["inner"])
    figure = disagreement(pd.concat([first, second]))
    assert [ax.get_xlabel() for ax in figure.axes[::2]] == ["fc6, unit 7", "fc6, unit 2"]
    assert [ax.texts[0].get_text() for ax in figure.axes[1::2]] == [
        "ks = 0.625",
        "ks = \u22120.625",
    ]

"""Where other distances disagree with ks: which rows are drawn.

``test_stage_by_spark.py`` follows them from the tables to the page.
"""

from __future__ import annotations

import pandas as pd

from kdsspark.stages.report.disagreements import widest
from kdsspark.stats.distances import DISTANCES


def test_the_ends_of_each_distance_are_drawn_in_the_order_of_distances() -> None:
    rows = [("wasserstein", "d", 0.5), ("auc", "d", 0.1), ("auc", "e", 0.9), ("auc", "f", -0.3)]
    frame = pd.DataFrame(rows, columns=["distance", "dataset", "gap"]).assign(network="n")
    drawn = widest(frame)
    want = [("auc", "e"), ("auc", "f"), ("wasserstein", "d")]
    order = {name: place for place, name in enumerate(DISTANCES)}
    want.sort(key=lambda row: order[row[0]])
    assert list(drawn[["distance", "dataset"]].itertuples(index=False, name=None)) == want


def test_one_feature_and_class_is_drawn_once() -> None:
    rows = {"network": ["n"], "distance": ["auc"], "gap": [0.0], "dataset": ["d"], "unit": [3]}
    assert widest(pd.DataFrame(rows))["unit"].tolist() == [3]

"""What the figures of experiments share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kdsspark.config import Experiments
from kdsspark.report.experiments import shown, training_size


def test_rows_are_in_the_order_of_datasets_then_layers() -> None:
    keys = [(9.0, "b", 1), (9.0, "a", 0), (2.0, "z", 5), (9.0, "b", 0), (9.0, "a", 2)]
    rows = pd.DataFrame(keys, columns=["images_per_class", "dataset", "depth"])
    found = list(shown.in_order(rows).itertuples(index=False, name=None))
    assert found == sorted(keys)


@pytest.mark.parametrize(
    ("kinds", "layer"),
    [("conv conv fc", 1), ("fc conv fc", 1), ("fc other", 1), ("other", 0)],
)
def test_the_last_convolution_or_else_the_last_layer(kinds: str, layer: int) -> None:
    names = kinds.split()
    rows = pd.DataFrame({"kind": names * 2, "depth": [*range(len(names))] * 2})
    assert shown.last_convolution(rows)["depth"].tolist() == [layer, layer]


def test_the_papers_layers_are_spread_over_ours() -> None:
    ax = Figure().subplots()
    shown.paper_by_layer(ax, [0.2, 0.4, 0.9], [3, 4, 7, 11])
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_xdata(), [3, 7, 11])
    assert list(line.get_ydata()) == [0.2, 0.4, 0.9]
    assert shown.paper_key("X et al.").get_label() == "X et al., their layers"


def test_every_classifier_of_training_size_has_a_line_of_its_own() -> None:
    kinds = ("svm", "svm_pairs", "softmax", "knn")
    wanted = Experiments(classifiers=kinds)
    trials = [
        {"dataset": "a", "images_per_class": 9.0, "classifier": kind, "train_per_class": m}
        | {"depth": 0, "layer": "l", "kind": "conv", "n_classes": 2, "group": "a"}
        | {"accuracy": 0.5 + m / 99, "low": 0.4, "high": 0.9, "network": "n"}
        for kind in wanted.classifiers
        for m in (1, 2, 5)
    ]
    made = training_size.by_size(pd.DataFrame(trials))
    drawn = made.axes[0].get_lines()
    looks = {(line.get_color(), line.get_marker()) for line in drawn if len(line.get_xdata()) == 3}
    assert len({marker for _, marker in looks if marker not in ("None", "")}) == len(kinds)

"""Networks of one layer have figures, too, of single points with their intervals."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.experiments import retrieval, sparsity, training_size
from kdsspark.report.experiments.shown import Shown

ROW = {
    **{"dataset": "birds", "images_per_class": 9.0, "rank": 1.0, "layer": "fc", "kind": "fc"},
    **{"depth": 0, "mean": 0.5, "deviation": 0.1, "classifier": "svm", "train_per_class": 5},
    **{"accuracy": 0.5, "mean_average_precision": 0.5, "low": 0.4, "high": 0.6, "chance": 0.1},
    **{"windows": 0, "whitened": True},
}


@pytest.mark.parametrize("shown", [retrieval.SHOWN, sparsity.SHOWN, training_size.SHOWN])
def test_a_point_has_its_interval(shown: Shown) -> None:
    for picture in shown.pictures:
        (ax,) = picture.figure(picture.drawn(pd.DataFrame([ROW]))).axes
        (container,) = ax.containers
        point, _, (bar,) = container.lines
        assert point.get_ydata().tolist() == [50]
        assert [y for _, y in bar.get_segments()[0]] == pytest.approx([40, 60])

"""What follows from the distances of a gallery."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from kdsspark.report.data import ReportData


def test_ranks_go_by_the_size_of_the_distance(report: ReportData) -> None:
    for gallery in report.galleries:
        want = rankdata(-np.abs(gallery.ks), method="ordinal", axis=1)
        assert (gallery.ranks == want).all()


def test_features_are_units_of_their_layers(report: ReportData) -> None:
    gallery = report.galleries[0]
    named = [(layer.name, unit) for layer in gallery.layers for unit in range(layer.units)]
    assert [gallery.unit_of(feature) for feature in range(len(named))] == named
    for feature, unit in gallery.units.items():
        assert named[feature] == (unit.layer.name, unit.unit)
        assert unit.name == f"{unit.layer.name} \u00b7 {unit.unit}"

"""Findings of single units: a number they state, and what keeps them from being tested."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.findings import units
from kdsspark.report.findings.evidence import Evidence, Finding, NotTestable
from tests.report.findings.cases.units import CASES
from tests.report.findings.tables import NETWORK, Frames, classes, network_layers, thresholds
from tests.report.findings.tables import units as units_of
from tests.report.worlds import GROUPS

BIRDS = {"dataset": "birds"}
BROAD_ALONE = thresholds({"mit67": {}}) | classes([{"dataset": "mit67"}])
FROM_TWO_LAYERS = CASES["all_depths"].holds | network_layers([10, 10])
LACKING: list[tuple[Finding, Frames, str]] = [
    (units.negative_extremes, BROAD_ALONE, "one of the paper's fine-grained datasets"),
    (units.rare_near_zero, units_of([BIRDS | {"nonzero": None}]), "measure.exact is false"),
    (
        units.rare_near_zero,
        units_of([BIRDS | {"nonzero": 0.5}]),
        "not 0 for a few images, 10% at most",
    ),
    (units.few_classes, units_of([BIRDS]), "no ks is below -0.8"),
    (units.all_depths, FROM_TWO_LAYERS, "it needs three layers or more"),
]


def test_fine_grained_and_broad_datasets_are_the_papers(by_imagenet: pd.DataFrame) -> None:
    number = by_imagenet["number"]["negative_extremes"]
    assert number == "lowest ks -0.950 fine-grained, -0.800 broad"


@pytest.mark.parametrize(("finding", "frames", "reason"), LACKING)
def test_what_is_missing_is_named(finding: Finding, frames: Frames, reason: str) -> None:
    with pytest.raises(NotTestable, match=reason):
        finding.judge(Evidence(NETWORK, frames, GROUPS))

"""Findings of single datasets in convolutional layers: their numbers, and what they need."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.findings import textured
from kdsspark.report.findings.evidence import Evidence, Finding, NotTestable
from tests.report.findings.cases.textured import CASES
from tests.report.findings.tables import NETWORK, Frames
from tests.report.worlds import GROUPS

OF_OTHER_LAYERS = CASES["low_level_features"].holds["layer_extremes"].assign(layer="layer2")


def test_bars_are_from_one_end_of_the_68_percent_to_the_other(
    imagenet: Frames, by_imagenet: pd.DataFrame
) -> None:
    """The low layers are conv1_1 to conv3_3, the first seven of thirteen."""
    rows = imagenet["figure5"].query("kind == 'conv' and dataset in ('wood', 'flowers102')")
    bars = rows.assign(bar=rows["high"] - rows["low"], low=rows["depth"] < 7)
    means = bars.groupby(["low", "sign", "dataset"])["bar"].mean().groupby(["low", "sign"]).mean()
    assert by_imagenet["number"]["bars_shorten"] == (
        f"{means[True, '+']:.3f} in low layers, {means[False, '+']:.3f} in upper ones"
    )
    assert by_imagenet["number"]["bars_lopsided"] == (
        f"{means[True, '+']:.3f} above 0, {means[True, '-']:.3f} below"
    )


@pytest.mark.parametrize(
    ("finding", "frames", "reason"),
    [
        (
            textured.low_level_features,
            CASES["low_level_features"].holds | {"layer_extremes": OF_OTHER_LAYERS},
            "flowers102 has no distances in these layers",
        ),
        (textured.textures_late, CASES["long_bars"].holds, "dataset textures is missing"),
        (textured.long_bars, CASES["textures_late"].holds, "wood"),
    ],
)
def test_what_is_missing_is_named(finding: Finding, frames: Frames, reason: str) -> None:
    with pytest.raises(NotTestable, match=reason):
        finding.judge(Evidence(NETWORK, frames, GROUPS))

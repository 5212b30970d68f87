"""What the task of a dataset reads: distances of shuffles or only their summaries."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kdsspark.output.output import Output
from kdsspark.tables import DAVG, DISTRIBUTION, KS, LAYERS, SURVIVAL, THRESHOLDS
from tests.stages.embedded import PAIR
from tests.stages.summarize.small import distances, frame, summarized


def test_without_the_distances_of_shuffles_all_but_their_fits_is_the_same(
    output: Output, tmp_path: Path
) -> None:
    other = summarized(tmp_path, distances(), keep_shuffled=False)
    assert not other.files(KS.partition(*PAIR, "shuffled"))
    for table in (THRESHOLDS, DAVG, DISTRIBUTION, SURVIVAL):
        pd.testing.assert_frame_equal(frame(other, table), frame(output, table), check_exact=True)
    found, expected = (frame(one, LAYERS).set_index("labels") for one in (other, output))
    pd.testing.assert_frame_equal(found.loc["true"], expected.loc["true"], check_exact=True)
    fitted = ["mode", "low", "high", "q16", "q50", "q84"]
    assert found.loc["shuffled", fitted].isna().all(axis=None)
    assert expected.loc["shuffled", fitted].notna().all(axis=None)
    pd.testing.assert_frame_equal(
        found.loc["shuffled"].drop(columns=fitted),
        expected.loc["shuffled"].drop(columns=fitted),
        check_exact=True,
    )

"""The reshaping of the report's frames."""

from __future__ import annotations

import pandas as pd

from kdsspark.report.data import of_network, signs_beside


def test_rows_of_one_network() -> None:
    frames = {"a": pd.DataFrame({"network": ["x", "y"], "n": [1, 2]})}
    assert of_network(frames, "y")["a"]["n"].tolist() == [2]


def test_signs_stand_side_by_side() -> None:
    rows = pd.DataFrame({"layer": ["a", "a", "b"], "sign": ["+", "-", "-"], "n": [1, 2, 3]})
    wide = signs_beside(rows, ["layer"], ["n"])
    want = {"layer": ["a", "b"], "n_plus": [1.0, float("nan")], "n_minus": [2.0, 3.0]}
    pd.testing.assert_frame_equal(wide, pd.DataFrame(want))

"""Curves and table of the label entropy, against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.experiments import label_entropy

HEAD = ["network", "dataset", "images_per_class", "layer", "depth"]


def rows(n: int, layer: str = "conv", depth: int = 0, seed: int = 0) -> pd.DataFrame:
    entropy = np.random.default_rng(seed).random(n)
    head = ("n", "d", 9.0, layer, depth)
    return pd.DataFrame({name: [value] * n for name, value in zip(HEAD, head, strict=True)}).assign(
        entropy=entropy
    )


@pytest.mark.parametrize("n", [1, 7, 100, 1234])
def test_a_curve_averages_over_the_most_selective_features(n: int) -> None:
    frame = rows(n)
    found = label_entropy.curves(frame.sample(frac=1, random_state=1))
    values = sorted(frame["entropy"])
    assert len(found) == min(n, 100)
    for _, row in found.iterrows():
        number = round(row["share"] * n)
        assert number == pytest.approx(row["share"] * n)
        assert row["mean"] == pytest.approx(np.mean(values[:number]))
    assert found["share"].iloc[-1] == 1
    assert found["share"].is_monotonic_increasing


def test_features_without_an_entropy_are_left_out_of_curves_and_counted_in_the_table() -> None:
    frame = pd.concat([rows(20), rows(5, "fc", 1, seed=1)], ignore_index=True)
    frame.loc[[0, 21], "entropy"] = np.nan
    assert label_entropy.curves(frame).groupby("layer").size().to_dict() == {"conv": 19, "fc": 4}
    found = label_entropy.table({"label-entropy": frame}).set_index("layer")
    assert found["features"].to_dict() == {"conv": 20, "fc": 5}
    for layer, own in frame.groupby("layer"):
        values = sorted(own["entropy"].dropna())
        assert found.loc[layer, "all"] == pytest.approx(np.mean(values))
        assert found.loc[layer, "tenth"] == pytest.approx(values[0])  # a tenth of 19 or 4, one


def test_a_layer_without_any_entropy_has_a_row_and_no_curve() -> None:
    frame = rows(3).assign(entropy=np.nan)
    assert label_entropy.curves(frame).empty
    found = label_entropy.table({"label-entropy": frame})
    assert found["features"].tolist() == [3]
    assert found[["tenth", "all"]].isna().all(axis=None)

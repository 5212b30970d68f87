"""Findings about depth: the numbers they state, from the frames by scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

Frames = dict[str, pd.DataFrame]


def test_distances_are_correlated_with_class_sizes(
    imagenet: Frames, by_imagenet: pd.DataFrame
) -> None:
    rows = imagenet["figure5"]
    rho = {}
    for part, chosen in (("low", rows["depth"] < 7), ("fc", rows["kind"] == "fc")):
        sizes = rows[chosen].groupby("dataset")[["images_per_class", "mode"]].mean()
        rho[part] = spearmanr(sizes["images_per_class"], sizes["mode"]).statistic
    number = by_imagenet["number"]
    assert number["size_matters_low"] == (f"Spearman {rho['low']:+.2f}")
    assert (
        number["size_fades"] == f"Spearman {rho['low']:+.2f} in low layers, {rho['fc']:+.2f} in fc"
    )


def test_gaps_are_correlated_with_depth(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    rows = imagenet["figure5"]
    rows = rows[rows["dataset"].isin(["imagenet", "caltech101", "caltech256"])]
    gaps = rows.groupby(["dataset", "depth"])["mode"].sum().unstack("depth")
    rho = [spearmanr(gaps.columns, row).statistic for _, row in gaps.iterrows()]
    number = by_imagenet["number"]["gap_stays"]
    below = sum(value < 0 for value in rho)
    assert number == (
        f"Spearman {np.mean(rho):+.2f} with depth on average, negative in {below} of 3"
    )


def test_every_layer_is_compared_with_chance(by_imagenet: pd.DataFrame) -> None:
    assert by_imagenet["number"]["every_depth"] == "in 165 of 165 layers of datasets"


def test_bars_are_measured_from_conv1_1_to_conv3_3(
    imagenet: Frames, by_imagenet: pd.DataFrame
) -> None:
    rows = imagenet["figure5"].query("sign == '+' and depth < 7")
    bars = (rows["high"] - rows["low"]).groupby(rows["dataset"]).mean().sort_values()
    assert set(bars.index[-2:]) == {"wood", "flowers102"}
    assert by_imagenet["number"]["long_bars"] == (
        f"at least {bars.iloc[-2]:.3f}, others up to {bars.iloc[-3]:.3f}"
    )

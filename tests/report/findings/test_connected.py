"""Findings about fully connected layers: the numbers they state, from the frames."""

from __future__ import annotations

import pandas as pd

Frames = dict[str, pd.DataFrame]


def test_spikes_are_the_two_bins_around_0(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    zero = imagenet["figure6"].query("kind == 'fc' and bin in (99, 100)")
    spikes = zero.groupby("dataset")["percent"].sum().sort_values()
    assert by_imagenet["number"]["food_spike"] == (
        f"{spikes['food101']:.1f} % within 0.01 of 0, others up to {spikes.iloc[-2]:.1f} %"
    )
    rank = list(spikes.index).index("textures") + 1
    assert rank == 4
    assert by_imagenet["number"]["textures_near_zero"] == (
        f"number 4 of 11 from the lowest, {spikes['textures']:.2f} %"
    )


def test_the_closest_two_datasets(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    """By the total variation distance, half of the sum of differences."""
    rows = imagenet["figure6"].query("kind == 'fc'")
    curves = rows.pivot(index="bin", columns="dataset", values="percent") / 100
    apart = {
        (one, other): abs(curves[one] - curves[other]).sum() / 2
        for one in curves
        for other in curves
        if one < other
    }
    closest, second = sorted(apart, key=apart.__getitem__)[:2]
    assert closest == ("caltech101", "caltech256")
    assert by_imagenet["number"]["caltechs_alike"] == (
        f"differ by {apart[closest]:.3f}, all other pairs by {apart[second]:.3f} or more"
    )

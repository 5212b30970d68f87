"""Findings about the distribution of ks: the numbers they state, from the frames."""

from __future__ import annotations

import pandas as pd

Frames = dict[str, pd.DataFrame]


def test_spikes_are_the_two_bins_around_0(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    zero = imagenet["figure6"].query("kind == 'fc' and bin in (99, 100)")
    spikes = zero.groupby("dataset")["percent"].sum().sort_values()
    text = "food101 has the largest spike of fc pairs around 0 (close to 8 %)"
    assert by_imagenet["number"][text] == (
        f"{spikes['food101']:.1f} % within 0.01 of 0, others up to {spikes.iloc[-2]:.1f} %"
    )
    rank = list(spikes.index).index("textures") + 1
    text = "textures, with all kinds of classes, has few fc pairs at 0 (4th lowest of 11)"
    assert by_imagenet["number"][text] == f"number {rank} of 11 from the lowest"


def test_tails_begin_at_one_half(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    rows = imagenet["figure6"].query("lo >= 0.5 - 1e-9")
    shares = rows.groupby(["kind", "dataset"])["percent"].sum().groupby("kind").mean()
    text = "Features far out (ks above 0.5) are more common in fc than in conv layers"
    assert by_imagenet["number"][text] == (
        f"{shares['conv']:.2f} % of pairs (conv), {shares['fc']:.2f} % (fc)"
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
    text = "caltech101 and caltech256 have almost the same fc distribution despite their sizes"
    assert by_imagenet["number"][text] == (
        f"differ by {apart[closest]:.3f}, all other pairs by {apart[second]:.3f} or more"
    )


def test_fine_grained_and_broad_datasets_are_the_papers(by_imagenet: pd.DataFrame) -> None:
    text = "Extremely negative ks are harder to get in broad datasets than in fine-grained ones"
    assert by_imagenet["number"][text] == "lowest ks -0.950 fine-grained, -0.800 broad"

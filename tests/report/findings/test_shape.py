"""Findings about the distribution of ks: the numbers they state, from the frames."""

from __future__ import annotations

import pandas as pd

Frames = dict[str, pd.DataFrame]


def test_tails_begin_at_one_half(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    rows = imagenet["figure6"].query("lo >= 0.5 - 1e-9")
    shares = rows.groupby(["kind", "dataset"])["percent"].sum().groupby("kind").mean()
    number = by_imagenet["number"]["fc_tails"]
    assert number.startswith(f"{shares['conv']:.2f} % of pairs (conv), {shares['fc']:.2f} % (fc);")

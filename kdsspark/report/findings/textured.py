"""Findings of section 6.1 about single datasets in convolutional layers (figures 5 and 7)."""

from __future__ import annotations

from typing import Final

import pandas as pd

from kdsspark import paper
from kdsspark.report.findings.evidence import (
    Answer,
    Evidence,
    Finding,
    NotTestable,
    finding,
    named,
    others,
)

_WELL: Final = 0.8  # a ks that tells a class well, a little below paper.LOW_LEVEL_KS
_LOW_LEVEL: Final = f"{paper.LOW_LEVEL_KS[0]} to {paper.LOW_LEVEL_KS[1]}, figure 7"


@finding(
    "6.1", "wood and flowers102 have unusually long bars of ks > 0 in low layers", "drawn, figure 5"
)
def long_bars(e: Evidence) -> Answer:
    """Compares the lengths of the 68 % bars in low convolutional layers."""
    bars = _bars(e.convolutional("low"), "plus")
    textured = float(named(bars, *paper.TEXTURED)["bar"].min())
    rest = float(others(bars, *paper.TEXTURED)["bar"].max())
    return Answer(textured > rest, f"at least {textured:.3f}, others up to {rest:.3f}")


@finding("6.1", "These bars shorten in later convolutional layers", "drawn, figure 5")
def bars_shorten(e: Evidence) -> Answer:
    """Compares low with upper convolutional layers."""
    low, upper = (
        float(named(_bars(rows, "plus"), *paper.TEXTURED)["bar"].mean())
        for rows in (e.convolutional("low"), e.convolutional("upper"))
    )
    return Answer(upper < low, f"{low:.3f} in low layers, {upper:.3f} in upper ones")


@finding("6.1", "Their bars of ks < 0 are shorter than those of ks > 0", "drawn, figure 5")
def bars_lopsided(e: Evidence) -> Answer:
    """Compares the two signs in low convolutional layers."""
    plus, minus = (
        float(named(_bars(e.convolutional("low"), sign), *paper.TEXTURED)["bar"].mean())
        for sign in ("plus", "minus")
    )
    return Answer(minus < plus, f"{plus:.3f} above 0, {minus:.3f} below")


def _bars(rows: pd.DataFrame, sign: str) -> pd.DataFrame:
    bars = rows.assign(bar=rows[f"high_{sign}"] - rows[f"low_{sign}"])
    return bars.groupby(["dataset", "name"], dropna=False)[["bar"]].mean().reset_index()


@finding(
    "6.1",
    "textures has its discriminative features in middle and upper layers, not low ones",
    "drawn, figure 5",
)
def textures_late(e: Evidence) -> Answer:
    """Compares the median of ks > 0 in low and in upper convolutional layers of textures."""
    low, upper = (
        float(named(rows, "textures")["q50_plus"].mean())
        for rows in (e.convolutional("low"), e.convolutional("upper"))
    )
    return Answer(upper > low, f"median {low:.3f} in low layers, {upper:.3f} in upper ones")


@finding("6.1", "Some features of the first two layers tell a class of flowers102 well", _LOW_LEVEL)
def low_level_features(e: Evidence) -> Answer:
    """The highest ks in the first two convolutional layers."""
    (dataset,) = named(e.thresholds, "flowers102")["dataset"]
    layers = e.layers[e.layers["depth"].isin(e.depths[:2])]["layer"]
    rows = e.frames["layer_extremes"]
    rows = rows[(rows["dataset"] == dataset) & rows["layer"].isin(layers)]
    if rows.empty:
        raise NotTestable("flowers102 has no distances in these layers")
    highest = float(rows["ks"].max())
    return Answer(highest >= _WELL, f"highest ks {highest:.3f}")


@finding("6.1", "wood has the heaviest tails of all in low convolutional layers", "no number")
def wood_tails(e: Evidence) -> Answer:
    """Compares the shares of |ks| above 0.5 in low convolutional layers."""
    tails = e.tails(e.part("low"))
    wood = float(named(tails, "wood")["tail"].iloc[0])
    rest = float(others(tails, "wood")["tail"].max())
    return Answer(wood > rest, f"{wood:.2f} % beyond 0.5, others up to {rest:.2f} %")


@finding("6.1", "flowers102 and caltech101 have tails above average in low layers", "no number")
def tails_above_average(e: Evidence) -> Answer:
    """Compares these shares with the mean over all datasets."""
    tails = e.tails(e.part("low"))
    own = named(tails, *paper.TAILED)
    others(tails, *paper.TAILED)
    mean = float(tails["tail"].mean())
    number = ", ".join(f"{n} {tail:.2f} %" for n, tail in own[["name", "tail"]].to_numpy())
    return Answer(bool((own["tail"] > mean).all()), f"{number} beyond 0.5, average {mean:.2f} %")


FINDINGS: Final[tuple[Finding, ...]] = (
    long_bars,
    bars_shorten,
    bars_lopsided,
    textures_late,
    low_level_features,
    wood_tails,
    tails_above_average,
)

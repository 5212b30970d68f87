"""Findings of sections 5.1 and 6.1: how distances change with the depth of the layer (figure 5)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from kdsspark import paper
from kdsspark.report.findings.evidence import (
    Answer,
    Evidence,
    Finding,
    NotTestable,
    finding,
    in_any_group,
    in_groups,
    named,
    others,
    rank_correlation,
)

_WELL: Final = 0.8  # a ks that tells a class well, a little below paper.LOW_LEVEL_KS
_LOG_NORMAL: Final = 0.2  # the largest median misfit of quantiles that still resembles one


@finding("5.1", "ks above and below 0 each resemble a log-normal (68 % of the fit holds 68 %)")
def log_normal(e: Evidence) -> Answer:
    """Compares the ends of the fitted 68 % with the empirical 16 % and 84 % quantiles."""
    misfits = [
        abs(e.layers[f"{end}_{sign}"] / e.layers[f"{quantile}_{sign}"] - 1)
        for sign in ("plus", "minus")
        for end, quantile in (("low", "q16"), ("high", "q84"))
    ]
    typical = float(np.median(np.concatenate(misfits)))
    return Answer(typical < _LOG_NORMAL, f"ends off by {typical:.1%} at the median")


@finding("5.1", "Layers of every depth discriminate: more pairs are kept than by chance")
def every_depth(e: Evidence) -> Answer:
    """Compares the shares kept of every dataset and layer, true with shuffled labels."""
    kept = e.frames["figure10"].pivot(index=["dataset", "depth"], columns="labels", values="kept")
    kept = kept.astype(float).dropna()
    if kept.empty:
        raise NotTestable("no layer has distances")
    more = int((kept["true"] > kept["shuffled"]).sum())
    return Answer(more == len(kept), f"in {more} of {len(kept)} layers of datasets")


@finding("5.1", "Where the target differs from the source (b, c), ks draws nearer to 0 with depth")
def gap_narrows(e: Evidence) -> Answer:
    """Correlates the gap between the two modes with depth, dataset by dataset."""
    return _gap_against_depth(in_any_group(e.layers, "b", "c"), narrows=True)


@finding("5.1", "Where the target is a subset of the source (a), that gap does not narrow")
def gap_stays(e: Evidence) -> Answer:
    """The same for group a."""
    return _gap_against_depth(in_groups(e.layers, "a"), narrows=False)


def _gap_against_depth(rows: pd.DataFrame, narrows: bool) -> Answer:
    if rows["depth"].nunique() < 4:
        raise NotTestable("needs four layers or more")
    rho = {
        str(dataset): rank_correlation(part["depth"], part["gap"])
        for dataset, part in rows.groupby("dataset")
    }
    mean = float(np.mean(list(rho.values())))
    below = sum(value < 0 for value in rho.values())
    number = f"Spearman {mean:+.2f} with depth on average, negative in {below} of {len(rho)}"
    return Answer((mean < 0) == narrows, number)


@finding("6.1", "In low convolutional layers, distances fall as classes grow")
def size_matters_low(e: Evidence) -> Answer:
    """Correlates the mode of |ks| in the first third of conv layers with images per class."""
    rho = _with_class_size(e.convolutional("low"))
    return Answer(rho < 0, f"Spearman {rho:+.2f}")


@finding("6.1", "With depth that correlation weakens, and is gone in fully connected layers")
def size_fades(e: Evidence) -> Answer:
    """The same correlation in the fully connected layers."""
    low = _with_class_size(e.convolutional("low"))
    fc = _with_class_size(e.of_kind(e.layers, "fc"))
    return Answer(abs(fc) < abs(low), f"Spearman {low:+.2f} in low layers, {fc:+.2f} in fc")


def _with_class_size(rows: pd.DataFrame) -> float:
    sizes = rows.assign(mode=(rows["mode_plus"] + rows["mode_minus"]) / 2)
    sizes = sizes.groupby("dataset")[["images_per_class", "mode"]].mean()
    return rank_correlation(sizes["images_per_class"], sizes["mode"])


@finding("6.1", "wood and flowers102 have unusually long bars of ks > 0 in low layers")
def long_bars(e: Evidence) -> Answer:
    """Compares the lengths of the 68 % bars in the first third of the convolutional layers."""
    bars = _bars(e.convolutional("low"), "plus")
    textured = float(named(bars, *paper.TEXTURED)["bar"].min())
    rest = float(others(bars, *paper.TEXTURED)["bar"].max())
    return Answer(textured > rest, f"at least {textured:.3f}, others up to {rest:.3f}")


@finding("6.1", "These bars shorten in later convolutional layers")
def bars_shorten(e: Evidence) -> Answer:
    """Compares low with high convolutional layers."""
    low, high = (
        float(named(_bars(e.convolutional(part), "plus"), *paper.TEXTURED)["bar"].mean())
        for part in ("low", "high")
    )
    return Answer(high < low, f"{low:.3f} in low layers, {high:.3f} in high ones")


@finding("6.1", "Their bars of ks < 0 are shorter than those of ks > 0")
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


@finding("6.1", "textures has its discriminative features in middle and upper layers, not low ones")
def textures_late(e: Evidence) -> Answer:
    """Compares the median of ks > 0 in low and in high convolutional layers of textures."""
    low, high = (
        float(named(e.convolutional(part), "textures")["q50_plus"].mean())
        for part in ("low", "high")
    )
    return Answer(high > low, f"median {low:.3f} in low layers, {high:.3f} in high ones")


@finding(
    "6.1",
    "Some features of the first two layers tell a class of flowers102 well (figure 7: ks "
    f"{paper.LOW_LEVEL_KS[0]} to {paper.LOW_LEVEL_KS[1]})",
)
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


FINDINGS: Final[tuple[Finding, ...]] = (
    log_normal,
    every_depth,
    gap_narrows,
    gap_stays,
    size_matters_low,
    size_fades,
    long_bars,
    bars_shorten,
    bars_lopsided,
    textures_late,
    low_level_features,
)

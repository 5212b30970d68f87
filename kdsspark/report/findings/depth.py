"""Findings of sections 5.1 and 6.1: how distances change with the depth of the layer (figure 5).

Those about wood, flowers102, textures and caltech101 alone are in :mod:`.textured`.
"""

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
    rank_correlation,
)

_LOG_NORMAL: Final = 0.2  # the largest median misfit of quantiles that still resembles one


@finding(
    "5.1",
    "ks above and below 0 each resemble a log-normal (68 % of the fit holds 68 %)",
    "drawn, figures 5 and 6",
)
def log_normal(e: Evidence) -> Answer:
    """Compares the ends of the fitted 68 % with the empirical 16 % and 84 % quantiles."""
    misfits = [
        abs(e.layers[f"{end}_{sign}"] / e.layers[f"{quantile}_{sign}"] - 1)
        for sign in ("plus", "minus")
        for end, quantile in (("low", "q16"), ("high", "q84"))
    ]
    typical = float(np.median(np.concatenate(misfits)))
    return Answer(typical < _LOG_NORMAL, f"ends off by {typical:.1%} at the median")


@finding(
    "5.1",
    "Layers of every depth discriminate: more pairs are kept than by chance",
    "all layers, figures 5 and 10",
)
def every_depth(e: Evidence) -> Answer:
    """Compares the shares kept of every dataset and layer, true with shuffled labels."""
    kept = e.frames["figure10"].pivot(index=["dataset", "depth"], columns="labels", values="kept")
    kept = kept.astype(float).dropna()
    if kept.empty:
        raise NotTestable("no layer has distances")
    more = int((kept["true"] > kept["shuffled"]).sum())
    return Answer(more == len(kept), f"in {more} of {len(kept)} layers of datasets")


@finding(
    "5.1",
    "Where the target differs from the source (b, c), ks draws nearer to 0 with depth",
    "drawn, figure 5",
)
def gap_narrows(e: Evidence) -> Answer:
    """Correlates the gap between the two modes with depth, dataset by dataset."""
    return _gap_against_depth(in_any_group(e.layers, "b", "c"), narrows=True)


@finding(
    "5.1",
    "For broad subsets of the source (imagenet, caltech101, caltech256), that gap does not narrow",
    "drawn, figure 5",
)
def gap_stays(e: Evidence) -> Answer:
    """The same for those of the three datasets that are there."""
    rows = e.layers[e.layers["name"].isin(paper.BROAD_SUBSETS)]
    if rows.empty:
        raise NotTestable(f"it needs one of {', '.join(paper.BROAD_SUBSETS)}")
    return _gap_against_depth(rows, narrows=False)


def _gap_against_depth(rows: pd.DataFrame, narrows: bool) -> Answer:
    if rows["depth"].nunique() < 4:
        raise NotTestable("it needs four layers or more")
    rho = {
        str(dataset): rank_correlation(part["depth"], part["gap"])
        for dataset, part in rows.groupby("dataset")
    }
    mean = float(np.mean(list(rho.values())))
    below = sum(value < 0 for value in rho.values())
    number = f"Spearman {mean:+.2f} with depth on average, negative in {below} of {len(rho)}"
    return Answer((mean < 0) == narrows, number)


@finding(
    "5.1",
    "That gap narrows most in the fc layers, where the target differs from the source",
    "drawn, figure 5",
)
def gap_narrows_in_fc(e: Evidence) -> Answer:
    """The mean gap of low conv, upper conv and fc layers by group.

    Holds if in groups b and c the step from upper conv to fc layers is the larger one.
    """
    parts = (e.convolutional("low"), e.convolutional("upper"), e.of_kind(e.layers, "fc"))
    numbers, steps = [], (0.0, 0.0)
    for groups in (("b", "c"), ("a",)):
        chosen = [rows[rows["group"].isin(groups)]["gap"] for rows in parts]
        if all(len(gaps) for gaps in chosen):
            low, upper, fc = (float(gaps.mean()) for gaps in chosen)
            numbers.append(f"{', '.join(groups)}: {low:.3f} low, {upper:.3f} upper, {fc:.3f} fc")
            steps = (low - upper, upper - fc) if groups == ("b", "c") else steps
        elif groups == ("b", "c"):
            raise NotTestable("there is no dataset of group b or c")
    return Answer(steps[1] > max(steps[0], 0), f"mean gap {'; '.join(numbers)}")


@finding("6.1", "In low convolutional layers, distances fall as classes grow", "drawn, figure 5")
def size_matters_low(e: Evidence) -> Answer:
    """Correlates the mode of |ks| in low conv layers with images per class."""
    rho = with_class_size(e.convolutional("low"))
    return Answer(rho < 0, f"Spearman {rho:+.2f}")


@finding(
    "6.1",
    "With depth that correlation weakens, and is gone in fully connected layers",
    "drawn, figure 5",
)
def size_fades(e: Evidence) -> Answer:
    """The same correlation in the fully connected layers."""
    low = with_class_size(e.convolutional("low"))
    fc = with_class_size(e.of_kind(e.layers, "fc"))
    return Answer(abs(fc) < abs(low), f"Spearman {low:+.2f} in low layers, {fc:+.2f} in fc")


def with_class_size(rows: pd.DataFrame) -> float:
    """Spearman's correlation of the mode of |ks| with images per class, over datasets."""
    sizes = rows.assign(mode=(rows["mode_plus"] + rows["mode_minus"]) / 2)
    sizes = sizes.groupby("dataset")[["images_per_class", "mode"]].mean()
    return rank_correlation(sizes["images_per_class"], sizes["mode"])


@finding(
    "6.1",
    "Low convolutional layers (conv1_1 to conv3_3 of VGG16) have much the same distribution for "
    "all datasets, deeper ones have not",
    "drawn, figure 5",
)
def low_layers_alike(e: Evidence) -> Answer:
    """The total variation distance of two datasets' distributions, layer by layer."""
    deeper = [depth for depth in e.layer_curves if depth not in e.part("low")]
    ends = [float(e.apart(depths)["apart"].mean()) for depths in (e.part("low"), deeper)]
    number = f"datasets differ by {ends[0]:.3f} in low layers, {ends[1]:.3f} in all deeper ones"
    return Answer(ends[0] < ends[1], number)


@finding(
    "6.1",
    "Middle and upper convolutional layers follow how similar the target is to the source",
    "no number",
)
def upper_layers_follow_similarity(e: Evidence) -> Answer:
    """The same distance in the upper half of conv layers, within a group and between groups."""
    apart = e.apart(e.part("upper"))
    groups = pd.DataFrame({side: apart[side].map(e.groups.get) for side in ("one", "other")})
    known = groups.notna().all(axis=1)
    same = known & (groups["one"] == groups["other"])
    different = known & ~same
    if not same.any() or not different.any():
        raise NotTestable("it needs two datasets of one group, and one of another group")
    ends = float(apart["apart"][same].mean()), float(apart["apart"][different].mean())
    number = f"datasets of one group differ by {ends[0]:.3f}, of different groups by {ends[1]:.3f}"
    return Answer(ends[0] < ends[1], number)


FINDINGS: Final[tuple[Finding, ...]] = (
    log_normal,
    every_depth,
    gap_narrows,
    gap_stays,
    gap_narrows_in_fc,
    size_matters_low,
    size_fades,
    low_layers_alike,
    upper_layers_follow_similarity,
)

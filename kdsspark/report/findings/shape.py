"""Findings of sections 5 and 6: the distribution of distances (figures 6 and 8)."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from kdsspark import paper
from kdsspark.report.findings.evidence import (
    Answer,
    Evidence,
    Finding,
    NotTestable,
    difference,
    finding,
    in_any_group,
    in_groups,
    named,
    others,
    spread,
)


@finding("5", "Extremely negative ks are harder to get in broad datasets than in fine-grained ones")
def negative_extremes(e: Evidence) -> Answer:
    """Compares the lowest ks of the datasets that the paper names as broad and fine-grained."""
    lowest = e.frames["classes"].groupby("dataset")["lowest"].min()
    rows = e.thresholds.assign(lowest=e.thresholds["dataset"].map(lowest))
    fine, broad = (rows[rows["name"].isin(names)] for names in (paper.FINE_GRAINED, paper.BROAD))
    if fine.empty or broad.empty:
        raise NotTestable("needs one of the paper's fine-grained datasets and a broad one")
    ends = float(fine["lowest"].mean()), float(broad["lowest"].mean())
    return Answer(ends[0] < ends[1], f"lowest ks {ends[0]:.3f} fine-grained, {ends[1]:.3f} broad")


@finding("5.1", "ks has two modes, one on either side of 0")
def two_modes(e: Evidence) -> Answer:
    """Holds if in conv layers a bin on either side is higher than the two around 0."""
    modes = {}
    for dataset in e.shape("conv")["dataset"]:
        curve = e.curve(str(dataset), "conv")
        at_zero = curve[99:101].max()
        modes[dataset] = curve[:99].max() > at_zero and curve[101:].max() > at_zero
    return Answer(all(modes.values()), f"in {sum(modes.values())} of {len(modes)} datasets")


@finding("5.1", "Convolutional features are equally discriminative for all datasets, fc are not")
def conv_alike(e: Evidence) -> Answer:
    """The coefficient of variation of the mean |ks| over datasets."""
    conv, fc = (spread(e.shape(kind)["size"]) for kind in ("conv", "fc"))
    return Answer(conv < fc, f"mean |ks| varies by {conv:.0%} (conv), {fc:.0%} (fc)")


@finding("5.1", "Convolutional features tell by presence and absence alike, more so than fc")
def conv_symmetric(e: Evidence) -> Answer:
    """The asymmetry: the share of the more common sign less that of the other."""
    conv, fc = (float(_asymmetry(e.shape(kind)).mean()) for kind in ("conv", "fc"))
    return Answer(conv < fc, f"asymmetry {conv:.1f} points (conv), {fc:.1f} (fc)")


@finding("5.2", "On average, convolutional features are farther from ks = 0 than fc features")
def conv_farther(e: Evidence) -> Answer:
    """The mean |ks| over datasets."""
    conv, fc = (float(e.shape(kind)["size"].mean()) for kind in ("conv", "fc"))
    return Answer(conv > fc, f"mean |ks| {conv:.3f} (conv), {fc:.3f} (fc)")


@finding("5.2", "Features far out (ks above 0.5) are more common in fc than in conv layers")
def fc_tails(e: Evidence) -> Answer:
    """The shares of ks above 0.5."""
    conv, fc = (float(e.shape(kind)["tail_plus"].mean()) for kind in ("conv", "fc"))
    return Answer(fc > conv, f"{conv:.2f} % of pairs (conv), {fc:.2f} % (fc)")


@finding("5.2", "For wood and flowers102, conv features discriminate better than fc features")
def conv_wins(e: Evidence) -> Answer:
    """The mean |ks| of the two datasets."""
    conv, fc = (
        named(e.shape(kind), *paper.TEXTURED).set_index("name")["size"] for kind in ("conv", "fc")
    )
    number = ", ".join(f"{n} {conv[n]:.3f} (conv), {fc[n]:.3f} (fc)" for n in conv.index)
    return Answer(bool((conv > fc).all()), f"mean |ks|: {number}")


@finding("6.1", "wood has the heaviest tails of all in low convolutional layers")
def wood_tails(e: Evidence) -> Answer:
    """Compares the 84 % quantiles of ks > 0 in the first third of the convolutional layers."""
    rows = e.convolutional("low")
    ends = rows.groupby(["dataset", "name"], dropna=False)[["q84_plus"]].mean().reset_index()
    wood = float(named(ends, "wood")["q84_plus"].iloc[0])
    rest = float(others(ends, "wood")["q84_plus"].max())
    return Answer(wood > rest, f"84 % quantile {wood:.3f}, others up to {rest:.3f}")


@finding(
    "6.2",
    f"food101 has the largest spike of fc pairs around 0 (close to {100 * paper.FOOD_SPIKE:.0f} %)",
)
def food_spike(e: Evidence) -> Answer:
    """Compares the shares of |ks| below 0.01 in fully connected layers."""
    shape = e.shape("fc")
    food = float(named(shape, "food101")["near_zero"].iloc[0])
    rest = float(others(shape, "food101")["near_zero"].max())
    return Answer(food > rest, f"{food:.1f} % within 0.01 of 0, others up to {rest:.1f} %")


@finding("6.2", "food101 has the fewest fc pairs towards -1 and 1")
def food_tails(e: Evidence) -> Answer:
    """Compares the shares of |ks| above 0.5 in fully connected layers."""
    shape = e.shape("fc")
    shape["tails"] = shape["tail_plus"] + shape["tail_minus"]
    food = float(named(shape, "food101")["tails"].iloc[0])
    rest = float(others(shape, "food101")["tails"].min())
    return Answer(food < rest, f"{food:.2f} % beyond 0.5, others from {rest:.2f} %")


@finding(
    "6.2", "caltech101 and caltech256 have almost the same fc distribution despite their sizes"
)
def caltechs_alike(e: Evidence) -> Answer:
    """Compares the total variation distance of the two with that of any other two datasets."""
    shape = e.shape("fc")
    names = dict(named(shape, "caltech101", "caltech256")[["name", "dataset"]].to_numpy())
    if len(shape) < 3:
        raise NotTestable("no other dataset to compare with")
    curves = {str(dataset): e.curve(str(dataset), "fc") for dataset in shape["dataset"]}
    two = {str(names["caltech101"]), str(names["caltech256"])}
    apart = {frozenset(p): difference(*(curves[d] for d in p)) for p in combinations(curves, 2)}
    own = apart.pop(frozenset(two))
    closest = min(apart.values())
    return Answer(own < closest, f"differ by {own:.3f}, all other pairs by {closest:.3f} or more")


@finding("6.2", "Broad subsets of the source task leave hardly any fc pair at 0, other datasets do")
def broad_subsets(e: Evidence) -> Answer:
    """Compares the shares of |ks| below 0.01 in fc layers of ``paper.BROAD_SUBSETS`` and others."""
    shape = e.shape("fc")
    subsets = shape[shape["name"].isin(paper.BROAD_SUBSETS)]
    if subsets.empty:
        raise NotTestable(f"needs one of {', '.join(paper.BROAD_SUBSETS)}")
    broad = float(subsets["near_zero"].max())
    rest = float(others(shape, *paper.BROAD_SUBSETS)["near_zero"].min())
    return Answer(broad < rest, f"up to {broad:.2f} %, others from {rest:.2f} %")


@finding("6.2", "Narrow subsets of the source task (dogs, cats) do not reach 0 there")
def narrow_subsets(e: Evidence) -> Answer:
    """Compares the shares of |ks| below 0.01 in fc layers of narrow and of broad subsets."""
    shape = e.shape("fc")
    broad = shape[shape["name"].isin(paper.BROAD_SUBSETS)]
    narrow = shape[shape["name"].isin(paper.NARROW_SUBSETS)]
    if broad.empty or narrow.empty:
        raise NotTestable("needs stanforddogs or catsdogs, and a broad subset of the source")
    ends = float(narrow["near_zero"].min()), float(broad["near_zero"].max())
    return Answer(ends[0] > ends[1], f"from {ends[0]:.2f} %, broad ones up to {ends[1]:.2f} %")


@finding(
    "6.2",
    "textures, with all kinds of classes, has few fc pairs at 0 "
    f"({paper.TEXTURES_RANK}th lowest of {len(paper.DATASETS)})",
)
def textures_near_zero(e: Evidence) -> Answer:
    """The rank among the datasets; holds in the lower half."""
    shape = e.shape("fc")
    others(shape, "textures")
    ranks = shape.assign(rank=shape["near_zero"].rank(method="min"))
    rank = int(named(ranks, "textures")["rank"].iloc[0])
    return Answer(rank <= (len(shape) + 1) / 2, f"number {rank} of {len(shape)} from the lowest")


@finding("6.2", "In groups a and b, ks < 0 outweighs ks > 0 in fc layers")
def fc_inhibits(e: Evidence) -> Answer:
    """The shares of either sign in fc layers."""
    rows = in_any_group(e.shape("fc"), "a", "b")
    share = float(rows["minus"].mean())
    most = int((rows["minus"] > rows["plus"]).sum())
    return Answer(most == len(rows), f"{share:.1f} % below 0, most in {most} of {len(rows)}")


@finding("6.2", "In groups a and b, the tail of fc is longer towards ks = 1 than towards -1")
def fc_tail_plus(e: Evidence) -> Answer:
    """The shares beyond 0.5 on either side in fc layers."""
    rows = in_any_group(e.shape("fc"), "a", "b")
    plus, minus = float(rows["tail_plus"].mean()), float(rows["tail_minus"].mean())
    return Answer(plus > minus, f"{plus:.2f} % above 0.5, {minus:.2f} % below -0.5")


@finding("6.2", "fc layers of group c are more symmetric than those of group a")
def disjoint_symmetric(e: Evidence) -> Answer:
    """The asymmetry of the fully connected layers by group."""
    rows = in_groups(e.shape("fc"), "a", "c")
    means = _asymmetry(rows).groupby(rows["group"]).mean()
    number = f"{means['a']:.1f} points (a), {means['c']:.1f} (c)"
    return Answer(bool(means["c"] < means["a"]), number)


@finding("6.2", "fc layers of group c resemble convolutional ones more than those of group a do")
def disjoint_like_conv(e: Evidence) -> Answer:
    """The total variation distance between the fc and conv distributions of a dataset."""
    rows = in_groups(e.shape("fc"), "a", "c")
    e.of_kind(e.frames["figure6"], "conv")
    apart = [difference(e.curve(d, "fc"), e.curve(d, "conv")) for d in map(str, rows["dataset"])]
    means = pd.Series(apart, index=rows["group"]).groupby(level=0).mean()
    number = f"differ by {means['a']:.3f} (a), {means['c']:.3f} (c)"
    return Answer(bool(means["c"] < means["a"]), number)


def _asymmetry(shape: pd.DataFrame) -> pd.Series[float]:
    return pd.Series(np.abs(shape["plus"] - shape["minus"]), index=shape.index)


FINDINGS: Final[tuple[Finding, ...]] = (
    negative_extremes,
    two_modes,
    conv_alike,
    conv_symmetric,
    conv_farther,
    fc_tails,
    conv_wins,
    wood_tails,
    food_spike,
    food_tails,
    caltechs_alike,
    broad_subsets,
    narrow_subsets,
    textures_near_zero,
    fc_inhibits,
    fc_tail_plus,
    disjoint_symmetric,
    disjoint_like_conv,
)

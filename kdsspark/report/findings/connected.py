"""Findings of section 6.2: the distances of fully connected layers (figures 6 and 8)."""

from __future__ import annotations

from itertools import combinations
from typing import Final

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
)
from kdsspark.report.findings.shape import asymmetry

_SPIKE: Final = f"close to {100 * paper.FOOD_SPIKE:.0f} %"


@finding("6.2", "food101 has the largest spike of fc pairs around 0", f"{_SPIKE}, figure 6")
def food_spike(e: Evidence) -> Answer:
    """Compares the shares of |ks| below 0.01 in fully connected layers."""
    shape = e.shape("fc")
    food = float(named(shape, "food101")["near_zero"].iloc[0])
    rest = float(others(shape, "food101")["near_zero"].max())
    return Answer(food > rest, f"{food:.1f} % within 0.01 of 0, others up to {rest:.1f} %")


@finding("6.2", "food101 has the fewest fc pairs towards -1 and 1", "drawn, figure 6")
def food_tails(e: Evidence) -> Answer:
    """Compares the shares of |ks| above 0.5 in fully connected layers."""
    shape = e.shape("fc")
    shape["tails"] = shape["tail_plus"] + shape["tail_minus"]
    food = float(named(shape, "food101")["tails"].iloc[0])
    rest = float(others(shape, "food101")["tails"].min())
    return Answer(food < rest, f"{food:.2f} % beyond 0.5, others from {rest:.2f} %")


@finding(
    "6.2",
    "That spike does not recur in other datasets with many images a class: catsdogs, "
    "stanforddogs, caltech256",
    f"food101 {_SPIKE}; the others drawn, figure 6",
)
def spike_alone(e: Evidence) -> Answer:
    """Compares the shares of |ks| below 0.01 in fc layers; holds if all are below half of it."""
    shape = e.shape("fc")
    food = float(named(shape, "food101")["near_zero"].iloc[0])
    large = shape[shape["name"].isin(paper.WITHOUT_SPIKE)]
    if large.empty:
        raise NotTestable(f"it needs one of {', '.join(paper.WITHOUT_SPIKE)}")
    return Answer(
        bool((large["near_zero"] < food / 2).all()),
        f"food101 {food:.1f} % within 0.01 of 0; {_listed(large)}",
    )


@finding(
    "6.2",
    "caltech101 and caltech256 have almost the same fc distribution despite their sizes",
    "drawn, figure 8a",
)
def caltechs_alike(e: Evidence) -> Answer:
    """Compares the total variation distance of the two with that of any other two datasets."""
    shape = e.shape("fc")
    names = dict(named(shape, "caltech101", "caltech256")[["name", "dataset"]].to_numpy())
    if len(shape) < 3:
        raise NotTestable("there is no other dataset to compare with")
    curves = {str(dataset): e.curve(str(dataset), "fc") for dataset in shape["dataset"]}
    two = {str(names["caltech101"]), str(names["caltech256"])}
    apart = {frozenset(p): difference(*(curves[d] for d in p)) for p in combinations(curves, 2)}
    own = apart.pop(frozenset(two))
    closest = min(apart.values())
    return Answer(own < closest, f"differ by {own:.3f}, all other pairs by {closest:.3f} or more")


@finding(
    "6.2",
    "Broad subsets of the source task (imagenet, caltech101, caltech256) leave no fc pair at 0, "
    "with 1,000, 101 and 256 classes alike; other datasets do",
    "almost 0 %, figure 8a",
)
def broad_subsets(e: Evidence) -> Answer:
    """Compares the shares of |ks| below 0.01 in fc layers; also states those of ks = 0."""
    shape = e.shape("fc")
    subsets = shape[shape["name"].isin(paper.BROAD_SUBSETS)]
    if subsets.empty:
        raise NotTestable(f"it needs one of {', '.join(paper.BROAD_SUBSETS)}")
    rest = float(others(shape, *paper.BROAD_SUBSETS)["near_zero"].min())
    exact = _at_zero(e)[subsets["dataset"]].max()
    number = f"within 0.01 of 0: {_listed(subsets)}, others from {rest:.2f} %; at 0: {exact:.2f} %"
    return Answer(float(subsets["near_zero"].max()) < rest, number)


def _listed(shape: pd.DataFrame) -> str:
    return ", ".join(f"{n} {share:.2f} %" for n, share in shape[["name", "near_zero"]].to_numpy())


def _at_zero(e: Evidence) -> pd.Series[float]:
    """Dataset -> the percent of its fc pairs with ks = 0."""
    sums = e.of_kind(e.units, "fc").groupby("dataset")[["at_zero", "n_classes"]].sum()
    return 100 * sums["at_zero"] / sums["n_classes"]


@finding(
    "6.2",
    "Narrow subsets of the source task (dogs, cats) have fc pairs at 0, unlike broad ones",
    "drawn, figure 8a",
)
def narrow_subsets(e: Evidence) -> Answer:
    """Compares the shares of |ks| below 0.01 in fc layers of narrow and of broad subsets."""
    shape = e.shape("fc")
    broad = shape[shape["name"].isin(paper.BROAD_SUBSETS)]
    narrow = shape[shape["name"].isin(paper.NARROW_SUBSETS)]
    if broad.empty or narrow.empty:
        raise NotTestable("it needs stanforddogs or catsdogs, and a broad subset of the source")
    ends = float(narrow["near_zero"].min()), float(broad["near_zero"].max())
    return Answer(ends[0] > ends[1], f"from {ends[0]:.2f} %, broad ones up to {ends[1]:.2f} %")


@finding(
    "6.2",
    "textures, with all kinds of classes, has fewer fc pairs at 0 than all datasets but the broad "
    "subsets of the source",
    f"{paper.TEXTURES_RANK}th lowest of {len(paper.DATASETS)}",
)
def textures_near_zero(e: Evidence) -> Answer:
    """The rank among the paper's datasets; broad subsets may lie below, so it is fourth of all."""
    shape = e.shape("fc")
    own = float(named(shape, "textures")["near_zero"].iloc[0])
    rest = others(shape[shape["name"].notna()], "textures")
    lower = rest[rest["near_zero"] < own]
    number = f"number {len(lower) + 1} of {len(rest) + 1} from the lowest, {own:.2f} %"
    others(rest, *paper.BROAD_SUBSETS)
    return Answer(bool(lower["name"].isin(paper.BROAD_SUBSETS).all()), number)


@finding("6.2", "In groups a and b, ks < 0 outweighs ks > 0 in fc layers", "drawn, figure 8")
def fc_inhibits(e: Evidence) -> Answer:
    """The shares of either sign in fc layers."""
    rows = in_any_group(e.shape("fc"), "a", "b")
    share = float(rows["minus"].mean())
    most = int((rows["minus"] > rows["plus"]).sum())
    return Answer(most == len(rows), f"{share:.1f} % below 0, most in {most} of {len(rows)}")


@finding(
    "6.2",
    "In groups a and b, the tail of fc is longer towards ks = 1 than towards -1",
    "drawn, figure 8",
)
def fc_tail_plus(e: Evidence) -> Answer:
    """The shares beyond 0.5 on either side in fc layers."""
    rows = in_any_group(e.shape("fc"), "a", "b")
    plus, minus = float(rows["tail_plus"].mean()), float(rows["tail_minus"].mean())
    return Answer(plus > minus, f"{plus:.2f} % above 0.5, {minus:.2f} % below -0.5")


@finding("6.2", "fc layers of group c are more symmetric than those of a and b", "drawn, figure 8")
def disjoint_symmetric(e: Evidence) -> Answer:
    """The asymmetry of the fully connected layers by group; those of a and b count alike."""
    shape = e.shape("fc")
    return _disjoint_less(shape.assign(value=asymmetry(shape)), "{:.1f} points")


@finding(
    "6.2",
    "fc layers of group c resemble convolutional ones more than those of a and b do",
    "drawn, figures 6 and 8",
)
def disjoint_like_conv(e: Evidence) -> Answer:
    """The total variation distance between the fc and conv distributions of a dataset."""
    shape = e.shape("fc")
    e.of_kind(e.frames["figure6"], "conv")
    apart = [difference(e.curve(d, "fc"), e.curve(d, "conv")) for d in map(str, shape["dataset"])]
    return _disjoint_less(shape.assign(value=apart), "differ by {:.3f}")


def _disjoint_less(rows: pd.DataFrame, unit: str) -> Answer:
    """Whether ``value`` is smaller in group c than in a and b, each dataset counting once."""
    overlapping, disjoint = in_any_group(rows, "a", "b"), in_groups(rows, "c")
    ends = float(overlapping["value"].mean()), float(disjoint["value"].mean())
    number = f"{unit.format(ends[0])} (a, b), {unit.format(ends[1])} (c)"
    return Answer(ends[1] < ends[0], number)


@finding(
    "6.2",
    "In groups a and b, fc units are high for few classes and low for most; in c, they are high "
    "for more",
    "no number",
)
def classes_of_a_unit(e: Evidence) -> Answer:
    """The percent of classes above t+ and below t- for an average fc unit, by group."""
    units = e.of_kind(e.units, "fc")
    sums = units.groupby(["dataset", "group"])[["present", "absent", "n_classes"]].sum()
    shares = sums[["present", "absent"]].mul(100).div(sums["n_classes"], axis=0).reset_index()
    overlapping, disjoint = in_any_group(shares, "a", "b"), in_groups(shares, "c")
    means = [rows[["present", "absent"]].mean() for rows in (overlapping, disjoint)]
    few_high, low, more_high = means[0]["present"], means[0]["absent"], means[1]["present"]
    number = "; ".join(
        f"{mean['present']:.1f} % of classes above t+, {mean['absent']:.1f} % below t- ({groups})"
        for mean, groups in zip(means, ("a, b", "c"), strict=True)
    )
    return Answer(bool(few_high < low and few_high < more_high), number)


FINDINGS: Final[tuple[Finding, ...]] = (
    food_spike,
    food_tails,
    spike_alone,
    caltechs_alike,
    broad_subsets,
    narrow_subsets,
    textures_near_zero,
    fc_inhibits,
    fc_tail_plus,
    disjoint_symmetric,
    disjoint_like_conv,
    classes_of_a_unit,
)

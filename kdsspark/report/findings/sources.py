"""Findings of section 8: the same datasets with another source network (figure 11)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from kdsspark import paper
from kdsspark.report.findings.depth import size_matters_low
from kdsspark.report.findings.evidence import (
    Answer,
    Evidence,
    Finding,
    NotTestable,
    Part,
    difference,
    finding,
    for_places,
    named,
)
from kdsspark.report.findings.textured import long_bars

_PARTS: Final[tuple[Part, Part]] = ("low", "upper")


@finding(
    "8",
    "Another source task gives much the same conv distributions: datasets differ more",
    f"drawn, figure 11 ({paper.FIGURE11_DATASETS} datasets)",
)
def sources_alike(e: Evidence) -> Answer:
    """The total variation distance of conv curves, between networks and between datasets."""
    mine = [str(dataset) for dataset in e.shape("conv")["dataset"]]
    between = []
    for other in _other_sources(e):
        shared = set(mine) & set(map(str, other.shape("conv")["dataset"]))
        between += [difference(e.curve(d, "conv"), other.curve(d, "conv")) for d in sorted(shared)]
    if not between or len(mine) < 2:
        raise NotTestable("it needs two datasets, each by two networks")
    curves = [e.curve(dataset, "conv") for dataset in mine]
    within = [difference(a, b) for i, a in enumerate(curves) for b in curves[:i]]
    ends = float(np.mean(between)), float(np.mean(within))
    return Answer(ends[0] < ends[1], f"networks differ by {ends[0]:.3f}, datasets by {ends[1]:.3f}")


@finding(
    "8",
    "Low conv layers (conv1_1 to conv3_3) look the same whatever the source task, deeper ones less "
    "so",
    "drawn, figures 5 and 11",
)
def low_sources_alike(e: Evidence) -> Answer:
    """The relative difference of the modes between networks with the same layers."""
    low, upper = (_modes_apart(e, part) for part in _PARTS)
    if not low or not upper:
        raise NotTestable("the other network lacks these layers or datasets")
    ends = float(np.mean(low)), float(np.mean(upper))
    number = f"modes differ by {ends[0]:.0%} in low layers, {ends[1]:.0%} in upper ones"
    return Answer(ends[0] < ends[1], number)


def _modes_apart(e: Evidence, part: Part) -> list[float]:
    apart: list[float] = []
    for other in _other_sources(e):
        both = e.convolutional(part).merge(other.layers, on=["dataset", "layer"])
        for sign in ("plus", "minus"):
            mine, theirs = both[f"mode_{sign}_x"], both[f"mode_{sign}_y"]
            apart += list(abs(mine - theirs) / ((mine + theirs) / 2))
    return apart


@finding(
    "8",
    "In a network for scenes (Places), distances fall as classes grow in low conv layers, too",
    "drawn, figure 11",
)
def size_recurs(e: Evidence) -> Answer:
    """The correlation of section 6.1, by the network named after Places."""
    _refuse_other_than_places(e)
    return size_matters_low.judge(e)


@finding(
    "8",
    "In a network for scenes (Places), wood and flowers102 have long bars in low layers, too",
    "drawn, figure 11",
)
def textured_recur(e: Evidence) -> Answer:
    """The bars of section 6.1, by the network named after Places."""
    _refuse_other_than_places(e)
    return long_bars.judge(e)


@finding(
    "8",
    "In a network for scenes (Places), mit67 is in fc layers what group a is elsewhere",
    "drawn, figure 11",
)
def scenes_at_home(e: Evidence) -> Answer:
    """Compares the fc gap of mit67 in the network named after Places and in the others."""
    _refuse_other_than_places(e)
    rest = _other_sources(e)
    home = float(named(_fc_gap(e), "mit67")["gap"].mean())
    away = float(np.mean([named(_fc_gap(other), "mit67")["gap"].mean() for other in rest]))
    return Answer(home > away, f"gap {home:.3f} in {e.network}, {away:.3f} in the others")


@finding(
    "8",
    "In a network for scenes (Places), the dogs and cats lose their gap in fc layers",
    "drawn, figure 11",
)
def dogs_abroad(e: Evidence) -> Answer:
    """Compares the fc gap of dogs and cats in the network named after Places and in the others."""
    _refuse_other_than_places(e)
    rest = _other_sources(e)
    here = float(named(_fc_gap(e), *paper.NARROW_SUBSETS)["gap"].mean())
    gaps = [named(_fc_gap(other), *paper.NARROW_SUBSETS)["gap"].mean() for other in rest]
    home = float(np.mean(gaps))
    return Answer(here < home, f"gap {here:.3f} in {e.network}, {home:.3f} in the others")


@finding(
    "8",
    "In a network for Places, the second to last fc layer contracts for all datasets",
    "drawn, figure 11",
)
def fc6_contracts(e: Evidence) -> Answer:
    """Compares its gap with that of the layer before it, dataset by dataset."""
    _refuse_other_than_places(e)
    depths = sorted(e.of_kind(e.layers, "fc")["depth"].unique())
    if len(depths) < 2 or not (e.layers["depth"] == depths[-2] - 1).any():
        raise NotTestable("it needs two fully connected layers and one before")
    gaps = e.layers.pivot(index="dataset", columns="depth", values="gap")
    fewer = int((gaps[depths[-2]] < gaps[depths[-2] - 1]).sum())
    return Answer(fewer == len(gaps), f"narrower in {fewer} of {len(gaps)} datasets")


def _other_sources(e: Evidence) -> list[Evidence]:
    """The networks with another source task: for Places by their names, or for ImageNet."""
    others = [name for name in e.networks if for_places(name) != for_places(e.network)]
    if not others:
        source = "ImageNet" if for_places(e.network) else "Places (with places in its name)"
        raise NotTestable(f"it needs another network, for {source}")
    return [Evidence(name, e.all_frames, e.groups) for name in others]


def _refuse_other_than_places(e: Evidence) -> None:
    if not for_places(e.network):
        raise NotTestable("it is about a network with places in its name")


def _fc_gap(e: Evidence) -> pd.DataFrame:
    rows = e.of_kind(e.layers, "fc")
    return rows.groupby(["dataset", "name"], dropna=False)[["gap"]].mean().reset_index()


FINDINGS: Final[tuple[Finding, ...]] = (
    sources_alike,
    low_sources_alike,
    size_recurs,
    textured_recur,
    scenes_at_home,
    dogs_abroad,
    fc6_contracts,
)

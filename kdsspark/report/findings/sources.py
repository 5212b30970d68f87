"""Findings of section 8: the same datasets with another source network (figure 11)."""

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
    difference,
    finding,
    named,
)


@finding("8", "Another source task gives much the same conv distributions: datasets differ more")
def sources_alike(e: Evidence) -> Answer:
    """The total variation distance of conv curves, between networks and between datasets."""
    mine = [str(dataset) for dataset in e.shape("conv")["dataset"]]
    between = []
    for other in _other_networks(e):
        shared = set(mine) & set(map(str, other.shape("conv")["dataset"]))
        between += [difference(e.curve(d, "conv"), other.curve(d, "conv")) for d in sorted(shared)]
    if not between or len(mine) < 2:
        raise NotTestable("needs two datasets, each by two networks")
    curves = [e.curve(dataset, "conv") for dataset in mine]
    within = [difference(a, b) for i, a in enumerate(curves) for b in curves[:i]]
    ends = float(np.mean(between)), float(np.mean(within))
    return Answer(ends[0] < ends[1], f"networks differ by {ends[0]:.3f}, datasets by {ends[1]:.3f}")


@finding("8", "Low conv layers look the same whatever the source task, higher ones less so")
def low_layers_alike(e: Evidence) -> Answer:
    """The relative difference of the modes between networks with the same layers."""
    apart: dict[str, list[float]] = {"low": [], "high": []}
    for other in _other_networks(e):
        for part in ("low", "high"):
            both = e.convolutional(part).merge(other.layers, on=["dataset", "layer"])
            for sign in ("plus", "minus"):
                mine, theirs = both[f"mode_{sign}_x"], both[f"mode_{sign}_y"]
                apart[part] += list(abs(mine - theirs) / ((mine + theirs) / 2))
    if not apart["low"] or not apart["high"]:
        raise NotTestable("needs another network with the same layers and datasets")
    low, high = float(np.mean(apart["low"])), float(np.mean(apart["high"]))
    return Answer(low < high, f"modes differ by {low:.0%} in low layers, {high:.0%} in high ones")


@finding("8", "In a network for scenes (Places), mit67 is in fc layers what group a is elsewhere")
def scenes_at_home(e: Evidence) -> Answer:
    """Compares the fc gap of mit67 in the network named after Places and in the others."""
    places, rest = _places(e)
    home = float(named(_fc_gap(places), "mit67")["gap"].mean())
    away = float(np.mean([named(_fc_gap(other), "mit67")["gap"].mean() for other in rest]))
    return Answer(home > away, f"gap {home:.3f} in {places.network}, {away:.3f} in the others")


@finding("8", "In a network for scenes (Places), the dogs and cats lose their gap in fc layers")
def dogs_abroad(e: Evidence) -> Answer:
    """Compares the fc gap of dogs and cats in the network named after Places and in the others."""
    places, rest = _places(e)
    here = float(named(_fc_gap(places), *paper.NARROW_SUBSETS)["gap"].mean())
    gaps = [named(_fc_gap(other), *paper.NARROW_SUBSETS)["gap"].mean() for other in rest]
    home = float(np.mean(gaps))
    return Answer(here < home, f"gap {here:.3f} in {places.network}, {home:.3f} in the others")


@finding("8", "In a network for Places, the second to last fc layer contracts for all datasets")
def fc6_contracts(e: Evidence) -> Answer:
    """Compares its gap with that of the layer before it, dataset by dataset."""
    if "places" not in e.network.lower():
        raise NotTestable("about a network with places in its name")
    depths = sorted(e.of_kind(e.layers, "fc")["depth"].unique())
    if len(depths) < 2 or not (e.layers["depth"] == depths[-2] - 1).any():
        raise NotTestable("needs two fully connected layers and one before")
    gaps = e.layers.pivot(index="dataset", columns="depth", values="gap")
    fewer = int((gaps[depths[-2]] < gaps[depths[-2] - 1]).sum())
    return Answer(fewer == len(gaps), f"narrower in {fewer} of {len(gaps)} datasets")


def _other_networks(e: Evidence) -> list[Evidence]:
    names = [str(name) for name in e.all_frames["thresholds"]["network"].unique()]
    if len(names) < 2:
        raise NotTestable("needs another source network")
    return [Evidence(name, e.all_frames, e.groups) for name in names if name != e.network]


def _places(e: Evidence) -> tuple[Evidence, list[Evidence]]:
    """The network itself, if it is named after Places, and the others."""
    rest = _other_networks(e)
    if "places" not in e.network.lower():
        raise NotTestable("about a network with places in its name")
    return e, rest


def _fc_gap(e: Evidence) -> pd.DataFrame:
    rows = e.of_kind(e.layers, "fc")
    return rows.groupby(["dataset", "name"], dropna=False)[["gap"]].mean().reset_index()


FINDINGS: Final[tuple[Finding, ...]] = (
    sources_alike,
    low_layers_alike,
    scenes_at_home,
    dogs_abroad,
    fc6_contracts,
)

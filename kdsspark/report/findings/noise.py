"""Findings of section 7: classes, shuffled labels, thresholds (figures 9 and 10, table 3)."""

from __future__ import annotations

from typing import Final, Literal

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
)

_CLEAR: Final = 0.5  # R2 of a fit that explains half of the variance
_EVEN: Final = 0.25  # the largest difference from an equal share that still counts as even

_R2: Final = f"R2 {paper.R2[0]} and {paper.R2[1]}"
_SHARES: Final = ", ".join(f"{n:,} ({n / paper.FEATURES:.0%})" for n in paper.REMAINING)


@finding(
    "7",
    "Classes differ in how well features tell them: some run out of features early, some late",
    f"between ks {paper.LOWEST_ENDS} and {paper.HIGHEST_ENDS}, figure 9",
)
def classes_differ(e: Evidence) -> Answer:
    """Compares the highest ks of all classes; holds if the largest is twice the smallest."""
    highest = e.frames["classes"]["highest"].dropna().astype(float)
    if highest.empty:
        raise NotTestable("no class has distances")
    low, high = float(highest.min()), float(highest.max())
    return Answer(high >= 2 * low, f"highest ks of a class from {low:.2f} to {high:.2f}")


@finding(
    "7",
    f"With shuffled labels, classes run out of features between ks {paper.SHUFFLED_ENDS[0]} and "
    f"{paper.SHUFFLED_ENDS[1]}",
    f"{paper.SHUFFLED_ENDS[0]} to {paper.SHUFFLED_ENDS[1]}, figure 9",
)
def shuffled_ends(e: Evidence) -> Answer:
    """The x where the curve of a shuffled class reaches 0, for ks > 0; means over a dataset."""
    rows = e.frames["figure9"]
    rows = rows[(rows["labels"] == "shuffled") & (rows["sign"] == "+") & (rows["n_features"] == 0)]
    rows = rows[rows["dataset"].isin(e.thresholds["dataset"])]
    ends = rows.groupby(["dataset", "class_id"])["x"].min().groupby("dataset").mean()
    low, high = float(ends.min()), float(ends.max())
    first, last = paper.SHUFFLED_ENDS
    return Answer(low >= first and high <= last, f"at {low:.2f} to {high:.2f} by dataset")


@finding(
    "7",
    "Every class is told by more features than its shuffled counterpart",
    f"{int(paper.DATASETS['n_classes'].sum()):,} of "
    f"{int(paper.DATASETS['n_classes'].sum()):,} classes, figure 9",
)
def classes_beat_chance(e: Evidence) -> Answer:
    """Counts features beyond t+, rounded down to the grid of figure 9, class by class."""
    rows = e.frames["figure9"].dropna(subset=["t_plus"])
    at = np.floor(rows["t_plus"].astype(float) * 100 + 1e-6) / 100
    rows = rows[(rows["sign"] == "+") & np.isclose(rows["x"], at)]
    counts = rows.pivot(index=["dataset", "class_id"], columns="labels", values="n_features")
    if counts.empty:
        raise NotTestable("no class has distances")
    more = int((counts["true"] > counts["shuffled"]).sum())
    return Answer(more == len(counts), f"{more:,} of {len(counts):,} classes")


@finding("7.1", "Thresholds follow a logarithmic curve of the class size, downwards", _R2)
def thresholds_fall(e: Evidence) -> Answer:
    """R2 of both fits (the paper states ``paper.R2``); holds if it is clear and the curves fall."""
    sizes = e.thresholds["images_per_class"]
    plus, minus = (paper.log_fit(sizes, abs(e.thresholds[name])) for name in ("t_plus", "t_minus"))
    if plus is None or minus is None:
        raise NotTestable("it needs three datasets or more with classes of different sizes")
    clear = min(plus.r2, minus.r2) > _CLEAR and max(plus.slope, minus.slope) < 0
    return Answer(clear, f"R2 {plus.r2:.2f} (t+), {minus.r2:.2f} (t-); {plus.n} datasets")


def _published_residuals() -> str:
    rows = paper.published_thresholds().set_index("dataset")
    off = [
        pd.Series(paper.residuals(rows["size"], rows[name]), index=rows.index)["imagenet"]
        for name in ("t_plus", "t_minus")
    ]
    return f"{off[0]:+.3f} (t+), {off[1]:+.3f} (t-) off the curve of the others, by table 3"


@finding("7.1", "imagenet, the source task itself, is off that curve", _published_residuals())
def imagenet_off(e: Evidence) -> Answer:
    """Residuals from the fit of all other datasets; holds if imagenet has the largest, for both."""
    named(e.thresholds, "imagenet")
    numbers, largest = [], []
    for column, sign in (("t_plus", "t+"), ("t_minus", "t-")):
        off = paper.residuals(e.thresholds["images_per_class"], e.thresholds[column])
        if np.isnan(off).any():
            raise NotTestable("it needs four datasets or more with classes of different sizes")
        is_own = (e.thresholds["name"] == "imagenet").to_numpy()
        own, rest = off[is_own].item(), float(np.abs(off[~is_own]).max())
        numbers.append(f"{own:+.3f} ({sign}), others up to {rest:.3f}")
        largest.append(abs(own) > rest)
    return Answer(all(largest), "; ".join(numbers))


@finding(
    "7.1", "t+ varies little over datasets", f"{paper.T_PLUS[0]} to {paper.T_PLUS[1]}, table 3"
)
def t_plus_range(e: Evidence) -> Answer:
    """Holds if every t+ lies within the paper's range."""
    low, high = float(e.thresholds["t_plus"].min()), float(e.thresholds["t_plus"].max())
    within = paper.T_PLUS[0] <= low and high <= paper.T_PLUS[1]
    return Answer(within, f"{low:.3f} to {high:.3f}")


@finding("7.1", "t+ is farther from 0 than t-", "in 11 of 11 datasets, table 3")
def t_plus_larger(e: Evidence) -> Answer:
    """Compares the two dataset by dataset."""
    more = int((e.thresholds["t_plus"] > -e.thresholds["t_minus"]).sum())
    means = float(e.thresholds["t_plus"].mean()), float(e.thresholds["t_minus"].mean())
    number = f"in {more} of {len(e.thresholds)} datasets; means {means[0]:.3f} and {means[1]:.3f}"
    return Answer(more == len(e.thresholds), number)


@finding("7.1", "davg(t-) is larger than davg(t+)", "in 10 of 11 datasets, table 3")
def davg_minus_larger(e: Evidence) -> Answer:
    """Holds if it is so in most datasets."""
    more = int((e.thresholds["davg_minus"] > e.thresholds["davg_plus"]).sum())
    return Answer(2 * more > len(e.thresholds), f"in {more} of {len(e.thresholds)} datasets")


@finding(
    "7.1",
    "More than half of the features remain on average, beyond those that chance gives",
    f"{_SHARES}; means of table 3",
)
def half_remain(e: Evidence) -> Answer:
    """The means of davg over datasets, as shares of the embedding; holds if the sum is above half.

    davg at the thresholds is what the paper's 3,300 and 4,000 features are.
    """
    features = int(e.frames["layers"]["features"].sum())
    means = e.thresholds[["davg_plus", "davg_minus"]].mean().astype(float)
    plus, minus = means["davg_plus"], means["davg_minus"]
    number = (
        f"{plus:,.0f} ({plus / features:.0%}) above t+, {minus:,.0f} ({minus / features:.0%}) "
        f"below t-, of {features:,}"
    )
    return Answer(bool(plus + minus > features / 2), number)


@finding("7.1", "Every class keeps features above t+", "all classes, figure 9")
def no_class_lost(e: Evidence) -> Answer:
    """Counts the features of each class above t+."""
    rows = e.frames["classes"]
    rows = rows[rows["dataset"].isin(e.thresholds["dataset"])]
    fewest = int(rows["n_plus"].min())
    return Answer(fewest > 0, f"the poorest class keeps {fewest:,}")


@finding(
    "7.1",
    "In group a, the pairs kept are spread evenly over conv and fc layers",
    "drawn, figure 10",
)
def kept_evenly(e: Evidence) -> Answer:
    """Divides the share kept in fc layers by that in conv layers; holds if it is near 1."""
    ratio = float(in_groups(_fc_to_conv(e), "a")["ratio"].mean())
    return Answer(abs(ratio - 1) <= _EVEN, f"fc keep {ratio:.2f} times the share of conv")


@finding(
    "7.1",
    "In groups b and c, fewer pairs are kept in fc layers than in conv layers",
    "drawn, figure 10",
)
def fc_pruned(e: Evidence) -> Answer:
    """Divides the two shares dataset by dataset."""
    rows = in_any_group(_fc_to_conv(e), "b", "c")
    fewer, mean = int((rows["ratio"] < 1).sum()), float(rows["ratio"].mean())
    number = f"fc keep {mean:.2f} times the share of conv, fewer in {fewer} of {len(rows)}"
    return Answer(fewer == len(rows), number)


def _fc_to_conv(e: Evidence) -> pd.DataFrame:
    """For each dataset the mean share kept in fc layers divided by that in conv layers."""
    conv, fc = (_kept(e, "conv"), _kept(e, "fc"))
    labels = e.layers[["dataset", "group"]].drop_duplicates().set_index("dataset")["group"]
    return pd.DataFrame({"ratio": fc / conv, "group": labels}).dropna(subset=["ratio"])


def _kept(e: Evidence, kind: Literal["conv", "fc"]) -> pd.Series[float]:
    rows = e.of_kind(e.layers, kind)
    return (rows["kept_plus"] + rows["kept_minus"]).groupby(rows["dataset"]).mean()


FINDINGS: Final[tuple[Finding, ...]] = (
    classes_differ,
    shuffled_ends,
    classes_beat_chance,
    thresholds_fall,
    imagenet_off,
    t_plus_range,
    t_plus_larger,
    davg_minus_larger,
    half_remain,
    no_class_lost,
    kept_evenly,
    fc_pruned,
)

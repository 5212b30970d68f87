"""Findings of section 5: what single units do over the classes of a dataset (figures 2, 3, 4)."""

from __future__ import annotations

from typing import Final

import numpy as np

from kdsspark import paper
from kdsspark.report.findings.evidence import Answer, Evidence, Finding, NotTestable, finding

_RARE: Final = 0.1  # the largest share of images that excite a rare unit
_HIGH: Final = 0.2  # of a feature's range; typical medians of pooled values are 0.05 to 0.1
_FEW: Final = 0.1  # of the classes of a dataset
_MOSTLY: Final = 0.9  # of the units
_TOP: Final = 10  # units of a class, as in figure 2

_GREENHOUSE: Final = ", ".join(f"{layer} {ks}" for layer, ks in paper.GREENHOUSE.items())


@finding(
    "5",
    "Extremely negative ks are harder to get in broad datasets (imagenet, mit67) than in "
    "fine-grained ones",
    "no number",
)
def negative_extremes(e: Evidence) -> Answer:
    """Compares the lowest ks of the datasets that the paper names as broad and fine-grained."""
    lowest = e.frames["classes"].groupby("dataset")["lowest"].min()
    rows = e.thresholds.assign(lowest=e.thresholds["dataset"].map(lowest))
    fine, broad = (rows[rows["name"].isin(names)] for names in (paper.FINE_GRAINED, paper.BROAD))
    if fine.empty or broad.empty:
        raise NotTestable(
            "it needs one of the paper's fine-grained datasets, and imagenet or mit67"
        )
    ends = float(fine["lowest"].mean()), float(broad["lowest"].mean())
    return Answer(ends[0] < ends[1], f"lowest ks {ends[0]:.3f} fine-grained, {ends[1]:.3f} broad")


@finding(
    "5", "Features that are rare in a dataset have ks near 0 for each of its classes", "no number"
)
def rare_near_zero(e: Evidence) -> Answer:
    """The largest |ks| over classes: units that at most a tenth of the images excite, and others.

    Holds if the mean of the former is below half of that of the latter.
    """
    units = e.units.dropna(subset=["active"])
    if units.empty:
        raise NotTestable("exemplars of the dataset itself are needed to see which units are rare")
    largest = np.maximum(units["highest"], -units["lowest"])
    rare = (units["active"] > 0) & (units["active"] <= _RARE)
    common = units["active"] > _RARE
    if not rare.any() or not common.any():
        raise NotTestable(f"no unit is excited by {_RARE:.0%} of the images or fewer")
    ends = float(largest[rare].mean()), float(largest[common].mean())
    return Answer(
        ends[0] < ends[1] / 2,
        f"largest |ks| {ends[0]:.3f} for {int(rare.sum()):,} rare units, {ends[1]:.3f} for others",
    )


@finding(
    "5",
    f"Where ks is extremely negative (below {paper.FAR_ABSENT}), the rest of the dataset is "
    "consistently high",
    "no number",
)
def rest_is_high(e: Evidence) -> Answer:
    """The median of the rest, from 0 for the lowest value of the feature to 1 for its highest.

    Over the ten pairs of each dataset with the lowest ks.
    """
    rest = e.rows("rest", f"no ks below {paper.FAR_ABSENT} has a histogram")
    means = rest.groupby("dataset")[["rest", "own"]].mean()
    low, high = float(means["rest"].min()), float(means["rest"].max())
    number = f"median of the rest at {low:.2f} to {high:.2f} of the range by dataset"
    return Answer(low >= _HIGH, f"{number}, of the class at {float(means['own'].mean()):.2f}")


@finding(
    "5", f"A unit has such a ks (below {paper.FAR_ABSENT}) for a small set of classes", "no number"
)
def few_classes(e: Evidence) -> Answer:
    """The classes of a unit that has any; few are a tenth of the classes, or one.

    Holds if nine in ten of these units have few.
    """
    units = e.units[e.units["far_absent"] > 0]
    if units.empty:
        raise NotTestable(f"no ks is below {paper.FAR_ABSENT}")
    classes = units["far_absent"]
    few = float((classes <= np.maximum(1, _FEW * units["n_classes"])).mean())
    number = f"{classes.mean():.1f} classes on average, {classes.max()} at most"
    return Answer(few >= _MOSTLY, f"{number}; few for {few:.0%} of {len(units):,} units")


@finding(
    "5",
    "The units that tell a class best come from layers of all depths",
    f"greenhouse: {_GREENHOUSE}",
)
def all_depths(e: Evidence) -> Answer:
    """The layers of the ten highest ks of each class, in thirds of the network.

    Holds if for most classes they come from two thirds or more.
    """
    depths = e.frames["layers"].set_index("layer")["depth"]
    if len(depths) < 3:
        raise NotTestable("it needs three layers or more")
    rows = e.frames["class_extremes"]
    rows = rows[(rows["sign"] == "+") & (rows["place"] <= _TOP)]
    if rows.empty:
        raise NotTestable("no class has ks above 0")
    third = rows["layer"].map(depths) * 3 // len(depths)
    classes = rows.assign(third=third).groupby(["dataset", "class_id"])
    n_layers, n_thirds = classes["layer"].nunique(), classes["third"].nunique()
    mixed = int((n_thirds > 1).sum())
    number = f"{n_layers.mean():.1f} layers on average; from two thirds of the network or more for"
    return Answer(2 * mixed > len(n_thirds), f"{number} {mixed:,} of {len(n_thirds):,} classes")


FINDINGS: Final[tuple[Finding, ...]] = (
    negative_extremes,
    rare_near_zero,
    rest_is_high,
    few_classes,
    all_depths,
)

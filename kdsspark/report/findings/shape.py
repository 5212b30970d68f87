"""Findings of sections 5.1 and 5.2: the distribution of distances of conv and fc layers (figure 6).

Section 6.2, on fully connected layers alone, is :mod:`.connected`.
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
    named,
    spread,
)


@finding(
    "5.1", "ks has two modes, one on either side of 0, in conv and in fc layers", "drawn, figure 6"
)
def two_modes(e: Evidence) -> Answer:
    """Counts datasets where a bin on either side is higher than the two around 0.

    Holds if most do, for each kind of layer: the paper's own food101 has its peak at 0 in fc layers
    (section 6.2).
    """
    numbers, most = [], []
    for kind in ("conv", "fc"):
        if not (e.frames["figure6"]["kind"] == kind).any():
            continue
        modes = [_has_two_modes(e, str(dataset), kind) for dataset in e.shape(kind)["dataset"]]
        numbers.append(f"{kind}: in {sum(modes)} of {len(modes)} datasets")
        most.append(2 * sum(modes) > len(modes))
    if not numbers:
        raise NotTestable("neither a convolutional nor a fully connected layer was embedded")
    return Answer(all(most), "; ".join(numbers))


def _has_two_modes(e: Evidence, dataset: str, kind: str) -> bool:
    curve = e.curve(dataset, kind)
    at_zero = curve[99:101].max()
    return bool(curve[:99].max() > at_zero and curve[101:].max() > at_zero)


@finding(
    "5.1",
    "Convolutional features are equally discriminative for all datasets, fc are not",
    "drawn, figure 6",
)
def conv_alike(e: Evidence) -> Answer:
    """The coefficient of variation of the mean |ks| over datasets."""
    conv, fc = (spread(e.shape(kind)["size"]) for kind in ("conv", "fc"))
    return Answer(conv < fc, f"mean |ks| varies by {conv:.0%} (conv), {fc:.0%} (fc)")


@finding(
    "5.1",
    "Convolutional features tell by presence and absence alike, more so than fc",
    "drawn, figure 6",
)
def conv_symmetric(e: Evidence) -> Answer:
    """The asymmetry: the share of the more common sign less that of the other."""
    conv, fc = (float(asymmetry(e.shape(kind)).mean()) for kind in ("conv", "fc"))
    return Answer(conv < fc, f"asymmetry {conv:.1f} points (conv), {fc:.1f} (fc)")


@finding(
    "5.2",
    "On average, convolutional features are farther from ks = 0 than fc features",
    "drawn, figure 6",
)
def conv_farther(e: Evidence) -> Answer:
    """The mean |ks| over datasets."""
    conv, fc = (float(e.shape(kind)["size"].mean()) for kind in ("conv", "fc"))
    return Answer(conv > fc, f"mean |ks| {conv:.3f} (conv), {fc:.3f} (fc)")


@finding(
    "5.2",
    "Features far out (ks above 0.5) are more common in fc than in conv layers",
    "drawn, figure 6; not for all datasets",
)
def fc_tails(e: Evidence) -> Answer:
    """The shares of ks above 0.5, and in how many datasets that of fc layers is larger."""
    conv, fc = (e.shape(kind).set_index("dataset")["tail_plus"] for kind in ("conv", "fc"))
    number = f"{conv.mean():.2f} % of pairs (conv), {fc.mean():.2f} % (fc)"
    more = int((fc > conv.reindex(fc.index)).sum())
    return Answer(bool(fc.mean() > conv.mean()), f"{number}; more in {more} of {len(fc)} datasets")


@finding(
    "5.2",
    "For wood and flowers102, conv features discriminate better than fc features",
    "drawn, figure 6",
)
def conv_wins(e: Evidence) -> Answer:
    """The shares of |ks| above 0.5, because discrimination grows fast towards -1 and 1."""
    conv, fc = (_tails(e, kind) for kind in ("conv", "fc"))
    number = ", ".join(f"{n} {conv[n]:.2f} % (conv), {fc[n]:.2f} % (fc)" for n in conv.index)
    return Answer(bool((conv > fc).all()), f"|ks| above 0.5: {number}")


def _tails(e: Evidence, kind: str) -> pd.Series[float]:
    rows = named(e.shape(kind), *paper.TEXTURED).set_index("name").sort_index()
    tails: pd.Series[float] = rows["tail_plus"] + rows["tail_minus"]
    return tails


def asymmetry(shape: pd.DataFrame) -> pd.Series[float]:
    """The share of the more common sign less that of the other, in points; a row per dataset."""
    return pd.Series(np.abs(shape["plus"] - shape["minus"]), index=shape.index)


FINDINGS: Final[tuple[Finding, ...]] = (
    two_modes,
    conv_alike,
    conv_symmetric,
    conv_farther,
    fc_tails,
    conv_wins,
)

"""Findings that need a table which ``run`` makes on request only: ``distances``, ``probe``."""

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

_SAME: Final = 0.9  # Spearman's correlation of two distances that order pairs nearly alike

_NO_PROBE: Final = "probe was not run on these images (kdsspark probe --config FILE)"


@finding(
    "4",
    "For small classes, mutual information is nearly the Kullback-Leibler divergence, but for the "
    "factor n / N",
    "no number",
)
def information_is_divergence(e: Evidence) -> Answer:
    """Spearman's correlation of MI N / n with KL over the pairs of a layer; means over layers."""
    rows = e.rows(
        "information",
        "measure.distances does not name both kullback_leibler and mutual_information",
    ).dropna(subset=["spearman"])
    if rows.empty:
        raise NotTestable("a correlation needs values that differ")
    by_dataset = rows.groupby("dataset")[["spearman", "largest_share"]].mean()
    low, high = float(by_dataset["spearman"].min()), float(by_dataset["spearman"].max())
    share = float(by_dataset["largest_share"].max())
    number = f"Spearman {low:.3f} to {high:.3f} by dataset; the largest class has {share:.0%}"
    return Answer(low >= _SAME, number)


@finding(
    "5.2",
    "Discriminativeness is not linear in ks: two features at 0.3 are worth less than one at 0.5",
    "no number",
)
def not_linear(_: Evidence) -> Answer:
    """Needs classifiers on units that are chosen by their ks, which no stage fits."""
    raise NotTestable("no stage fits classifiers to units that are chosen by their ks")


@finding(
    "5.2",
    "fc layers classify better than convolutional ones, except for wood and flowers102",
    "no number; from other papers",
)
def fc_classifies(e: Evidence) -> Answer:
    """Accuracy of the best fc layer and of the last convolutional one, by dataset."""
    rows = others(_accuracies(e), *paper.TEXTURED)
    better = int((rows["fc"] > rows["conv"]).sum())
    number = f"accuracy {rows['conv'].mean():.3f} (last conv), {rows['fc'].mean():.3f} (fc)"
    return Answer(better == len(rows), f"{number}; better in {better} of {len(rows)}")


@finding(
    "5.2",
    "For wood and flowers102, fc layers do not classify better than convolutional ones",
    "no number",
)
def textured_classify(e: Evidence) -> Answer:
    """The same for these two."""
    rows = named(_accuracies(e), *paper.TEXTURED)
    number = ", ".join(
        f"{row.name} {row.conv:.3f} (last conv), {row.fc:.3f} (fc)"
        for row in rows[["name", "conv", "fc"]]
        .set_index("name", drop=False)
        .itertuples(index=False)
    )
    return Answer(bool((rows["conv"] >= rows["fc"]).all()), number)


def _accuracies(e: Evidence) -> pd.DataFrame:
    """The accuracy of the last conv layer and of the best fc layer: dataset, name, conv, fc.

    Only where both were found by the same method, since others must not be compared.
    """
    rows = e.rows("probed", _NO_PROBE)
    conv, fc = e.of_kind(rows, "conv"), e.of_kind(rows, "fc")
    last = conv[conv["depth"] == conv["depth"].max()]
    both = last.merge(fc, on=["dataset", "name", "method"], suffixes=("_conv", "_fc"))
    if both.empty:
        raise NotTestable("probe used other methods for fc layers than for the last conv layer")
    accuracies = both.groupby(["dataset", "name"], dropna=False)[["accuracy_conv", "accuracy_fc"]]
    found: pd.DataFrame = accuracies.max().reset_index()
    return found.rename(columns={"accuracy_conv": "conv", "accuracy_fc": "fc"})


FINDINGS: Final[tuple[Finding, ...]] = (
    information_is_divergence,
    not_linear,
    fc_classifies,
    textured_classify,
)

"""Cases for the findings that need optional tables."""

from __future__ import annotations

from tests.report.findings.cases.made import Case
from tests.report.findings.tables import Frames, frame


def information(spearman: float) -> Frames:
    row = {"layer": "layer0", "n": 9, "largest_share": 0.1, "spearman": spearman}
    return {"information": frame([{"dataset": "birds", **row}])}


def probed(accuracies: dict[str, tuple[float, float, float]]) -> Frames:
    """Dataset -> the accuracy of two conv layers and of the better of two fc layers."""
    kinds = ("conv", "conv", "fc", "fc")
    rows = [
        {"dataset": dataset, "depth": depth, "kind": kind, "method": "LinearSVC", "accuracy": a}
        for dataset, (first, last, fc) in accuracies.items()
        for depth, (kind, a) in enumerate(zip(kinds, (first, last, fc, fc / 2), strict=True))
    ]
    return {"probed": frame(rows)}


CASES: dict[str, Case] = {
    "information_is_divergence": Case(
        information(0.97),
        "Spearman 0.970 to 0.970 by dataset; the largest class has 10%",
        information(0.5),
        "Spearman 0.500 to 0.500 by dataset; the largest class has 10%",
    ),
    "fc_classifies": Case(
        # The first conv layer of birds is not the last.
        probed({"birds": (0.95, 0.7, 0.9), "wood": (0.9, 0.9, 0.1)}),
        "accuracy 0.700 (last conv), 0.900 (fc); better in 1 of 1",
        probed({"birds": (0.1, 0.9, 0.7), "fish": (0.1, 0.5, 0.6)}),
        "accuracy 0.700 (last conv), 0.650 (fc); better in 1 of 2",
    ),
    "textured_classify": Case(
        probed({"wood": (0.1, 0.8, 0.7), "flowers102": (0.1, 0.9, 0.9)}),
        "flowers102 0.900 (last conv), 0.900 (fc), wood 0.800 (last conv), 0.700 (fc)",
        probed({"wood": (0.1, 0.8, 0.7), "flowers102": (0.9, 0.7, 0.8)}),
        "flowers102 0.700 (last conv), 0.800 (fc), wood 0.800 (last conv), 0.700 (fc)",
    ),
}

"""The experiments in the report: of each a question, a figure, and numbers beside the paper's."""

from __future__ import annotations

from typing import Final

from kdsspark.report.experiments import label_entropy, sparsity
from kdsspark.report.experiments.shown import Shown

SHOWN: Final[dict[str, Shown]] = {
    shown.name: shown for shown in (label_entropy.SHOWN, sparsity.SHOWN)
}
"""Every experiment by name, in the order of the report."""

"""The experiments in the report: of each a question, figures, and numbers beside the paper's."""

from __future__ import annotations

from typing import Final

from kdsspark.report.experiments import filters, label_entropy, sparsity
from kdsspark.report.experiments.shown import Picture, Shown

SHOWN: Final[dict[str, Shown]] = {
    shown.name: shown for shown in (label_entropy.SHOWN, sparsity.SHOWN, filters.SHOWN)
}
"""Every experiment by name, in the order of the report."""

PICTURES: Final[dict[str, Picture]] = {
    picture.name: picture for shown in SHOWN.values() for picture in shown.pictures
}
"""Every figure of an experiment by name."""

"""The experiments in the report: of each a question, figures, and numbers beside the paper's."""

from __future__ import annotations

from typing import Final

from kdsspark.report.experiments import (
    ablations,
    dimensions,
    filters,
    grids,
    label_entropy,
    retrieval,
    sources,
    sparsity,
    training_size,
)
from kdsspark.report.experiments.chosen import correspondence, invariance, occlusion
from kdsspark.report.experiments.shown import Picture, Shown

SHOWN: Final[dict[str, Shown]] = {
    module.SHOWN.name: module.SHOWN
    for module in (
        *(label_entropy, sparsity, filters, training_size),
        *(dimensions, sources, retrieval),
        *(grids, ablations),
        *(invariance, occlusion, correspondence),
    )
}
"""Every experiment by name, in the order of the report."""

PICTURES: Final[dict[str, Picture]] = {
    picture.name: picture for shown in SHOWN.values() for picture in shown.pictures
}
"""Every figure of an experiment by name."""

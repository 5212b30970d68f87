"""The stages of a study, in order; each plans from the output and runs what is missing."""

from __future__ import annotations

from typing import Final

from kdsspark import tables
from kdsspark.engine.stage import Stage
from kdsspark.output import names

INDEX: Final = Stage(
    "index",
    "list the images of every dataset, with their classes",
    "kdsspark.stages.index",
    (tables.IMAGES, tables.IMAGE_CLASSES),
    counted="images",
    scope="dataset",
)

EMBED: Final = Stage(
    "embed",
    "compute the embeddings that are missing",
    "kdsspark.stages.embed.stage",
    (tables.FAILURES, tables.EMBEDDINGS, tables.DUPLICATES, tables.FEATURES),
    counted="images",
    beside=(names.RANGES, names.REUSE),
)

MEASURE: Final = Stage(
    "measure",
    "histograms and signed KS distances of every feature and class",
    "kdsspark.stages.measure.stage",
    (tables.RANGES, tables.HISTOGRAMS, tables.KS, tables.DISTANCES),
    counted="slices",
    needs=EMBED,
    beside=(names.COLUMNS, names.SUMMARIES),
)

SUMMARIZE: Final = Stage(
    "summarize",
    "thresholds, curves and layers from the distances",
    "kdsspark.stages.summarize.stage",
    (
        tables.SIGNIFICANCE,
        tables.THRESHOLDS,
        tables.DAVG,
        tables.LAYERS,
        tables.DISTRIBUTION,
        tables.SURVIVAL,
    ),
    counted="datasets",
    needs=MEASURE,
)

EXEMPLARS: Final = Stage(
    "exemplars",
    "find the images and patches that excite each unit most",
    "kdsspark.stages.exemplars.stage",
    (tables.EXEMPLARS,),
    counted="shards",
    beside=(names.BEST,),
    needs=EMBED,
)

CHECK: Final = Stage(
    "check",
    "hold the invariants of the tables against the files",
    "kdsspark.stages.check",
    (),
    counted="parts",
    needs=MEASURE,
)

REPORT: Final = Stage(
    "report",
    "draw report/index.html from the tables",
    "kdsspark.stages.report.stage",
    (),
    counted="reports",
    scope="study",
)

TRANSFORM: Final = Stage(
    "transform",
    "write full-network and pruned embeddings",
    "kdsspark.stages.transform.stage",
    (tables.TRANSFORMS, tables.TRANSFORM_FEATURES, tables.FULL_NETWORK, tables.PRUNED),
    counted="shards",
    part_of_run=False,
)

PROBE: Final = Stage(
    "probe",
    "linear classifiers on all, on relevant and on discretised features",
    "kdsspark.stages.probe.stage",
    (tables.PROBE,),
    counted="probes",
    part_of_run=False,
    one_label=True,
)

STAGES: Final = (INDEX, EMBED, MEASURE, SUMMARIZE, EXEMPLARS, CHECK, REPORT, TRANSFORM, PROBE)
"""Every stage, in the order in which ``kdsspark run`` goes through those that are part of it."""


def _experiment(
    name: str,
    help_text: str,
    tables_written: tuple[tables.Table, ...],
    needs: Stage = EMBED,
    beside: tuple[str, ...] = (),
    folder: str = "experiments",
    one_label: bool = True,
) -> Stage:
    module = f"kdsspark.stages.{folder}.{name.replace('-', '_')}"
    return Stage(
        name,
        help_text,
        module,
        tables_written,
        counted="parts",
        beside=beside,
        needs=needs,
        part_of_run=False,
        is_experiment=True,
        one_label=one_label,
    )


EXPERIMENTS: Final = (
    _experiment(
        "label-entropy",
        "how selective every feature is, by the entropy of the labels above a value",
        (tables.LABEL_ENTROPY,),
        needs=MEASURE,
    ),
    _experiment(
        "sparsity",
        "share of features above zero, by layer",
        (tables.SPARSITY,),
        one_label=False,
    ),
    _experiment(
        "filters",
        "how many features a class needs, and how many it shares with others",
        (tables.FILTERS, tables.FILTERS_NEEDED, tables.FILTERS_CURVES),
    ),
    _experiment(
        "training-size",
        "accuracy by the number of images to train with, by layer",
        (tables.TRAINING_SIZE,),
    ),
    _experiment(
        "dimensions",
        "accuracy by the number of principal components, by layer",
        (tables.DIMENSIONS,),
    ),
    _experiment(
        "sources",
        "accuracy by several networks, alone and side by side",
        (tables.SOURCES,),
    ),
    _experiment(
        "retrieval",
        "whether the nearest images are of the same class, by layer",
        (tables.RETRIEVAL,),
        beside=(names.WINDOWS,),
        folder="experiments.nearest",
    ),
    _experiment(
        "grids",
        "accuracy by maps pooled over grids of 1x1, 2x2 and 3x3, by layer",
        (tables.GRIDS,),
        beside=(names.GRIDS,),
    ),
    _experiment(
        "ablations",
        "accuracy by whole maps, without magnitudes or without places, by layer",
        (tables.ABLATIONS,),
        beside=(names.MAPS,),
    ),
    _experiment(
        "invariance",
        "how far layers move when chosen images are shifted, scaled and turned",
        (tables.INVARIANCE, tables.INVARIANCE_VIEWS),
        folder="experiments.chosen",
    ),
    _experiment(
        "occlusion",
        "what a grey square hides from the network, place by place of chosen images",
        (tables.OCCLUSION, tables.OCCLUSION_IMAGES),
        folder="experiments.chosen",
    ),
    _experiment(
        "correspondence",
        "whether hiding the same part changes different images alike, by layer",
        (tables.CORRESPONDENCE,),
        folder="experiments.chosen",
    ),
)
"""The questions of other papers, in the order of the report; ``kdsspark experiment NAME``."""

EVERY: Final = STAGES + EXPERIMENTS
"""Stages and experiments: all that writes tables."""

RUN: Final = "run"
"""The command that goes through all stages that are part of a run."""

STAGE_OF: Final = {table.name: stage.command for stage in EVERY for table in stage.tables} | {
    "runs": RUN
}
"""Table -> the command that makes it, which for most is the name of a stage."""


def stages_of(command: str) -> list[Stage]:
    """The stages that a command goes through, in order."""
    if command == RUN:
        return [stage for stage in STAGES if stage.part_of_run]
    return [stage for stage in EVERY if stage.command == command]

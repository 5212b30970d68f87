"""Every table, declared once: columns, Hive partition columns, key, and the meaning of each column.

The Parquet writers, the Spark views, the check on reading and ``docs/tables.md`` all use these
declarations. Partition columns are folder names (``network=vgg16/dataset=birds``), so the files
themselves do not have them. :mod:`kdsspark.tables.table` says what a table is; each other module
declares the tables of some stages.
"""

from __future__ import annotations

from typing import Final

from kdsspark.tables.accuracy import (
    ABLATIONS,
    DIMENSIONS,
    GRIDS,
    PROBE,
    RETRIEVAL,
    SOURCES,
    TRAINING_SIZE,
)
from kdsspark.tables.chosen_images import (
    CORRESPONDENCE,
    INVARIANCE,
    INVARIANCE_VIEWS,
    OCCLUSION,
    OCCLUSION_IMAGES,
)
from kdsspark.tables.distances import (
    DAVG,
    DISTANCES,
    DISTRIBUTION,
    HISTOGRAMS,
    KS,
    LAYERS,
    RANGES,
    SIGNIFICANCE,
    SURVIVAL,
    THRESHOLDS,
)
from kdsspark.tables.images import (
    DUPLICATES,
    EMBEDDINGS,
    EXEMPLARS,
    FAILURES,
    FEATURES,
    IMAGE_CLASSES,
    IMAGES,
    embeddings_schema,
)
from kdsspark.tables.single_features import (
    FILTERS,
    FILTERS_CURVES,
    FILTERS_NEEDED,
    LABEL_ENTROPY,
    SPARSITY,
)
from kdsspark.tables.table import Table, with_layers
from kdsspark.tables.transforms import FULL_NETWORK, PRUNED, TRANSFORM_FEATURES, TRANSFORMS

__all__ = [
    "ABLATIONS",
    "CORRESPONDENCE",
    "DAVG",
    "DIMENSIONS",
    "DISTANCES",
    "DISTRIBUTION",
    "DUPLICATES",
    "EMBEDDINGS",
    "EXEMPLARS",
    "FAILURES",
    "FEATURES",
    "FILTERS",
    "FILTERS_CURVES",
    "FILTERS_NEEDED",
    "FULL_NETWORK",
    "GRIDS",
    "HISTOGRAMS",
    "IMAGES",
    "IMAGE_CLASSES",
    "INVARIANCE",
    "INVARIANCE_VIEWS",
    "KS",
    "LABEL_ENTROPY",
    "LAYERS",
    "OCCLUSION",
    "OCCLUSION_IMAGES",
    "PROBE",
    "PRUNED",
    "RANGES",
    "RETRIEVAL",
    "SIGNIFICANCE",
    "SOURCES",
    "SPARSITY",
    "SURVIVAL",
    "TABLES",
    "THRESHOLDS",
    "TRAINING_SIZE",
    "TRANSFORMS",
    "TRANSFORM_FEATURES",
    "Table",
    "embeddings_schema",
    "with_layers",
]

TABLES: Final[dict[str, Table]] = {
    t.name: t
    for t in (
        IMAGES,
        IMAGE_CLASSES,
        FAILURES,
        EMBEDDINGS,
        DUPLICATES,
        FEATURES,
        RANGES,
        HISTOGRAMS,
        KS,
        DISTANCES,
        SIGNIFICANCE,
        THRESHOLDS,
        DAVG,
        LAYERS,
        DISTRIBUTION,
        SURVIVAL,
        EXEMPLARS,
        TRANSFORMS,
        TRANSFORM_FEATURES,
        FULL_NETWORK,
        PRUNED,
        PROBE,
        LABEL_ENTROPY,
        SPARSITY,
        FILTERS,
        FILTERS_NEEDED,
        FILTERS_CURVES,
        TRAINING_SIZE,
        DIMENSIONS,
        SOURCES,
        RETRIEVAL,
        GRIDS,
        ABLATIONS,
        INVARIANCE,
        INVARIANCE_VIEWS,
        OCCLUSION,
        OCCLUSION_IMAGES,
        CORRESPONDENCE,
    )
}
"""Every table by its name, in the order of the documentation."""

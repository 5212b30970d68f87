"""The tables of `transform`: embeddings, standardised and discretised or pruned, and by what."""

from __future__ import annotations

import pyarrow as pa

from kdsspark.tables.shared import CLASS_OF_IMAGE, IMAGE_ID, LABELS_OF_IMAGE, LAYER, UNIT
from kdsspark.tables.table import Column, Table, columns

TRANSFORMS = Table(
    "transforms",
    ("network", "dataset"),
    columns(
        ("statistics", pa.string(), "dataset whose means, deviations and distances were applied"),
        ("t_plus", pa.float64(), "standardised values above it are +1 in full_network"),
        ("t_minus", pa.float64(), "standardised values below it are -1"),
        Column(
            "ks_plus", pa.float64(), "t_plus of thresholds, used by pruned; null if undefined", True
        ),
        Column(
            "ks_minus",
            pa.float64(),
            "t_minus of thresholds, used by pruned; null if undefined",
            True,
        ),
        ("n_features", pa.int32(), "number of features in full_network"),
        ("n_relevant", pa.int32(), "number of features in pruned"),
    ),
    ("network", "dataset"),
    "statistics and thresholds that the full-network and pruned embeddings of a dataset used",
)
TRANSFORM_FEATURES = Table(
    "transform_features",
    ("network", "dataset"),
    columns(
        LAYER,
        UNIT,
        ("n", pa.int64(), "finite values over the statistics dataset"),
        Column("mean", pa.float64(), "their mean; null if there are none", True),
        Column(
            "std", pa.float64(), "their standard deviation (of the population, divided by n)", True
        ),
        (
            "n_above",
            pa.int32(),
            "number of classes of the statistics dataset with ks above its t_plus",
        ),
        ("n_below", pa.int32(), "number of classes with ks below its t_minus"),
        Column(
            "position",
            pa.int32(),
            "position in the layer's list in pruned; null if not in it",
            True,
        ),
    ),
    ("network", "dataset", "layer", "unit"),
    "for each feature: mean and deviation for standardising, number of classes for which it is "
    "relevant (beyond a threshold), and position in pruned",
)
FULL_NETWORK = Table(
    "full_network",
    ("network", "dataset"),
    (IMAGE_ID, CLASS_OF_IMAGE, LABELS_OF_IMAGE),
    ("network", "dataset", "image_id"),
    "full-network embedding; one row for each image; after these columns follows one "
    "array<tinyint> column for each layer: its features, standardised and discretised to -1, 0, +1",
    open_ended=True,
)
PRUNED = Table(
    "pruned",
    ("network", "dataset"),
    (IMAGE_ID, CLASS_OF_IMAGE, LABELS_OF_IMAGE),
    ("network", "dataset", "image_id"),
    "relevant features only; one row for each image; after these columns follows one array column "
    "for each layer, perhaps with empty lists: the values of embeddings for features beyond a "
    "threshold for at least one class, in the order of their units",
    open_ended=True,
)

"""The tables of experiments on features one by one: `label-entropy`, `sparsity`, `filters`."""

from __future__ import annotations

import pyarrow as pa

from kdsspark.tables.shared import CLASS_ID, LAYER, UNIT
from kdsspark.tables.table import Column, Table, columns

LABEL_ENTROPY = Table(
    "label_entropy",
    ("network", "dataset"),
    columns(
        LAYER,
        UNIT,
        Column(
            "entropy",
            pa.float64(),
            "area under the entropy of the labels of all images at or above a value, over the bins "
            "of the feature, as a share of ln(classes): low if the highest values are of few "
            "classes; null without a finite value, or for a single class",
            True,
        ),
    ),
    ("network", "dataset", "layer", "unit"),
    "how selective each feature is (Agrawal et al. 2014, figure 1 and appendix)",
)
SPARSITY = Table(
    "sparsity",
    ("network", "dataset"),
    columns(
        LAYER,
        ("n_images", pa.int64(), "images embedded"),
        ("n_features", pa.int32(), "features of the layer"),
        ("mean", pa.float64(), "share of the features of an image above 0, averaged over images"),
        ("deviation", pa.float64(), "standard deviation over images, divided by n_images"),
        ("never", pa.int32(), "features that are above 0 for no image"),
    ),
    ("network", "dataset", "layer"),
    "share of features above zero, by layer (Agrawal et al. 2014, table 6); NaN counts as zero",
)
FILTERS = Table(
    "filters",
    ("network", "dataset"),
    columns(
        LAYER,
        CLASS_ID,
        UNIT,
        (
            "average_precision",
            pa.float64(),
            "exact average precision of the feature alone as a detector of the class, all images",
        ),
        Column(
            "place",
            pa.int32(),
            "1 for the feature of the layer with the highest average precision, to 5; else null",
            True,
        ),
        Column(
            "weight_place",
            pa.int32(),
            "1 for the feature with the largest absolute weight in the machine on all features of "
            "the layer, to 50; else null",
            True,
        ),
    ),
    ("network", "dataset", "layer", "class_id", "unit"),
    "the features of each layer that matter most for a class (Agrawal et al. 2014, section 4); "
    "classes without images to test with are left out, as they are of the next two tables",
)
FILTERS_NEEDED = Table(
    "filters_needed",
    ("network", "dataset"),
    columns(
        LAYER,
        CLASS_ID,
        ("k", pa.int32(), "number of features, those of the largest absolute weights"),
        (
            "average_precision",
            pa.float64(),
            "average precision, on the test images, of a linear support vector machine on them",
        ),
        ("share", pa.float64(), "the same as a share of that of all features of the layer"),
        ("n_train", pa.int64(), "training images of all classes"),
        ("n_test", pa.int64(), "test images of all classes"),
    ),
    ("network", "dataset", "layer", "class_id", "k"),
    "how much of a layer's performance its best features reach (Agrawal et al. 2014, figure 4)",
)
FILTERS_CURVES = Table(
    "filters_curves",
    ("network", "dataset"),
    columns(
        LAYER,
        CLASS_ID,
        ("kind", pa.string(), "best: of the highest average precision; random: drawn by chance"),
        ("place", pa.int32(), "1 to 5"),
        ("recall", pa.float64(), "recall, on the grid 0, 0.05, .. 1"),
        ("precision", pa.float64(), "the highest precision at this recall or a higher one"),
    ),
    ("network", "dataset", "layer", "class_id", "kind", "place", "recall"),
    "precision and recall of single features as detectors (Agrawal et al. 2014, figure 3)",
)

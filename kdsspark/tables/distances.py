"""The tables of `measure` and `summarize`: distances, and what is counted from them."""

from __future__ import annotations

import pyarrow as pa

from kdsspark.tables.shared import CLASS_ID, LAYER, UNIT
from kdsspark.tables.table import Column, Table, columns

_SHUFFLE = Column("shuffle", pa.int32(), "0 for the true labels, 1..R for the permutations")
_SIGN = Column("sign", pa.string(), "'+' for positive distances, '-' for negative ones")

RANGES = Table(
    "ranges",
    ("network", "dataset"),
    columns(
        LAYER,
        UNIT,
        Column("lo", pa.float64(), "smallest finite value; null if there is none", nullable=True),
        Column("hi", pa.float64(), "largest finite value; null if there is none", nullable=True),
        ("n", pa.int64(), "finite values"),
        ("n_nonfinite", pa.int64(), "NaN and infinite values, which are in no bin"),
    ),
    ("network", "dataset", "layer", "unit"),
    "the range of every feature over a dataset (paper section 4)",
)
HISTOGRAMS = Table(
    "histograms",
    ("network", "dataset"),
    columns(
        LAYER,
        UNIT,
        (
            "class_id",
            pa.int32(),
            f"{CLASS_ID.meaning}; with several labels an image, -1 for all images, to which the "
            "classes do not add up",
        ),
        ("n", pa.int64(), "finite values of the feature over the images of the class"),
        (
            "counts",
            pa.list_(pa.field("element", pa.int32(), nullable=False)),
            "number of values in each bin",
        ),
    ),
    ("network", "dataset", "layer", "unit", "class_id"),
    "histogram of every feature over the images of every class, true labels (paper section 4)",
)
KS = Table(
    "ks",
    ("network", "dataset", "labels"),
    columns(
        LAYER,
        UNIT,
        CLASS_ID,
        _SHUFFLE,
        ("n_inner", pa.int64(), "finite values over the images of the class (inner)"),
        ("n_outer", pa.int64(), "finite values over all other images of the dataset (outer)"),
        Column(
            "ks",
            pa.float64(),
            "signed distance over the bins, positive if the class has higher values; null if "
            "inner or outer is empty",
            nullable=True,
        ),
        (
            "bin",
            pa.int32(),
            "bin of the largest gap, the first among equals; -1 if ks is 0 or null",
        ),
        Column(
            "ks_exact",
            pa.float64(),
            "the same over the raw values; null if measure.exact is false",
            True,
        ),
        Column(
            "auc",
            pa.float64(),
            "area under the ROC curve over the raw values: probability that an inner value is "
            "higher than an outer one, where equal values count half; the Mann-Whitney U is "
            "auc * n_inner * n_outer. This and the next four are null for shuffled labels, if "
            "measure.exact is false, and if inner or outer is empty",
            True,
        ),
        Column(
            "p_auc",
            pa.float64(),
            "two-sided p-value of U: normal limit, corrected for ties and for continuity",
            True,
        ),
        Column("mean_difference", pa.float64(), "mean of inner minus mean of outer", True),
        Column("nonzero_inner", pa.float64(), "share of the inner values that are not 0", True),
        Column("nonzero_outer", pa.float64(), "share of the outer values that are not 0", True),
    ),
    ("network", "dataset", "labels", "layer", "unit", "class_id", "shuffle"),
    "signed Kolmogorov-Smirnov distance of every feature for every class (paper equation 3)",
)
DISTANCES = Table(
    "distances",
    ("network", "dataset"),
    columns(
        LAYER,
        UNIT,
        CLASS_ID,
        Column(
            "kullback_leibler",
            pa.float64(),
            "divergence of inner from outer in nats, from 0; finite, because outer gets one more "
            "image, spread over the bins like the whole dataset",
            True,
        ),
        Column(
            "jensen_shannon", pa.float64(), "square root of the divergence in bits, 0 to 1", True
        ),
        Column(
            "bhattacharyya", pa.float64(), "from 0; infinite if inner and outer share no bin", True
        ),
        Column(
            "mutual_information",
            pa.float64(),
            "information of the bin about class membership, in nats, from 0 to the entropy of the "
            "membership",
            True,
        ),
        Column("wasserstein", pa.float64(), "Wasserstein-1 as a share of the range, 0 to 1", True),
        Column(
            "auc",
            pa.float64(),
            "area under the ROC curve: probability that an inner image is in a higher bin than an "
            "outer one, where the same bin counts half; 0.5 without a difference",
            True,
        ),
        Column(
            "average_precision",
            pa.float64(),
            "average precision for the class, highest bins first, all images of a bin together; "
            "without a difference, the class's share of the images",
            True,
        ),
    ),
    ("network", "dataset", "layer", "unit", "class_id"),
    "other distances between inner and outer, from the same histograms, for the true labels; null "
    "if measure.distances does not name the distance, or if inner or outer is empty",
)
SIGNIFICANCE = Table(
    "significance",
    ("network", "dataset"),
    columns(
        LAYER,
        UNIT,
        CLASS_ID,
        Column(
            "p",
            pa.float64(),
            "two-sided p-value of ks_exact (of ks if measure.exact is false); null if undefined",
            True,
        ),
        Column("q", pa.float64(), "p, adjusted by Benjamini-Hochberg over the dataset", True),
        Column("q_layer", pa.float64(), "the same over the layer", True),
        Column(
            "p_max",
            pa.float64(),
            "family-wise p-value of ks: share of the labelings, the true one and the shuffles, "
            "under which any feature and class of the dataset has |ks| * sqrt(n_inner * n_outer / "
            "(n_inner + n_outer)) as large as here; at least 1 / (1 + measure.shuffles)",
            True,
        ),
        Column("p_max_layer", pa.float64(), "the same for any feature of the layer", True),
    ),
    ("network", "dataset", "layer", "unit", "class_id"),
    "p-values of the distances, from two-sample Kolmogorov-Smirnov tests: how often chance alone "
    "gives such a distance",
)
THRESHOLDS = Table(
    "thresholds",
    ("network",),
    columns(
        ("dataset", pa.string(), "name of the dataset"),
        ("n_images", pa.int64(), "images embedded"),
        ("n_classes", pa.int32(), "classes"),
        ("images_per_class", pa.float64(), "mean number of embedded images in a class"),
        Column("t_plus", pa.float64(), "the x in [0, 1] where davg of ks is largest", True),
        Column("davg_plus", pa.float64(), "davg at t_plus, in features", True),
        Column("t_minus", pa.float64(), "minus the x where davg of -ks is largest", True),
        Column("davg_minus", pa.float64(), "davg at t_minus, in features", True),
        Column(
            "t_plus_std",
            pa.float64(),
            "standard deviation of t_plus over single shuffles; null for one shuffle",
            True,
        ),
        Column("t_minus_std", pa.float64(), "the same for t_minus", True),
        ("significant", pa.int64(), "rows of significance with q below 0.05"),
        ("significant_by_layer", pa.int64(), "rows of significance with q_layer below 0.05"),
    ),
    ("network", "dataset"),
    "thresholds beyond which a feature is relevant for a class (paper equation 4, table 3)",
    file_of="dataset",
)
DAVG = Table(
    "davg",
    ("network", "dataset"),
    columns(
        ("x", pa.float64(), "distance, on the grid 0, 0.001, .. 1"),
        _SIGN,
        (
            "n_true",
            pa.float64(),
            "number of features with ks (sign '-': -ks) above x, averaged over the classes",
        ),
        ("n_shuffled", pa.float64(), "the same, averaged over the classes of all shuffles"),
        ("davg", pa.float64(), "n_true - n_shuffled, rounded once"),
    ),
    ("network", "dataset", "x", "sign"),
    "average distance between the true and the shuffled curves of survival (paper equation 4)",
)
LAYERS = Table(
    "layers",
    ("network", "dataset", "labels"),
    columns(
        LAYER,
        _SIGN,
        ("n", pa.int64(), "number of distances of this sign: ks > 0 or ks < 0"),
        Column("mode", pa.float64(), "mode of the log-normal fitted to |ks|", True),
        Column("low", pa.float64(), "lower end of its central 68 %", True),
        Column("high", pa.float64(), "upper end of its central 68 %", True),
        Column("q16", pa.float64(), "empirical 16 % quantile of |ks|", True),
        Column("q50", pa.float64(), "empirical median of |ks|", True),
        Column("q84", pa.float64(), "empirical 84 % quantile of |ks|", True),
        Column(
            "kept",
            pa.float64(),
            "share of all distances of the layer beyond the threshold of this sign",
            True,
        ),
    ),
    ("network", "dataset", "labels", "layer", "sign"),
    "distribution of the distances in each layer (paper figures 5 and 10); with "
    "measure.keep_shuffled false, shuffled labels have only n and kept",
)
DISTRIBUTION = Table(
    "distribution",
    ("network", "dataset", "labels"),
    columns(
        ("kind", pa.string(), "conv, fc or other"),
        LAYER,
        ("bin", pa.int32(), "0 .. 199"),
        ("lo", pa.float64(), "lower edge of the bin; closed"),
        ("hi", pa.float64(), "upper edge of the bin; open, except for the last bin"),
        ("n", pa.int64(), "number of distances in the bin"),
    ),
    ("network", "dataset", "labels", "layer", "bin"),
    "distribution of ks over all features and classes (paper figures 6 and 8)",
)
SURVIVAL = Table(
    "survival",
    ("network", "dataset", "labels"),
    columns(
        CLASS_ID,
        _SHUFFLE,
        _SIGN,
        ("x", pa.float64(), "distance, on the grid 0, 0.01, .. 1"),
        ("n_features", pa.int64(), "number of features with ks (sign '-': -ks) strictly above x"),
    ),
    ("network", "dataset", "labels", "class_id", "shuffle", "sign", "x"),
    "for each class, a curve of the number of features beyond x (paper figure 9)",
)

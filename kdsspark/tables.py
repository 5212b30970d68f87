"""Every table, declared once: columns, Hive partition columns, key, and the meaning of each column.

The Parquet writers, the Spark views, the check on reading and ``docs/tables.md`` all use these
declarations. Partition columns are folder names (``network=vgg16/dataset=birds``), so the files
themselves do not have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column: its name, Arrow type and meaning, and whether it may be null."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One table under ``<output>/<name>/``.

    ``key`` names the columns that identify a row, partition columns included. A table whose
    columns depend on the network (``embeddings``) has ``open_ended`` set: more columns follow.
    ``file_of`` names the column whose value names the file of a row, where there is one. The rows
    of a table with ``side_by_side`` follow from several networks, which the file's name has all
    (:func:`kdsspark.output.names.side_by_side`); its partition is the first of them.
    """

    name: str
    partitioned_by: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    meaning: str
    open_ended: bool = False
    file_of: str | None = None
    side_by_side: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of one file of this table (without the partition columns)."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def partition(self, *values: str) -> str:
        """``("vgg16", "birds")`` -> ``ks/network=vgg16/dataset=birds``, relative to the output.

        A prefix of the partition columns may be given; raises ValueError for too many.
        """
        if len(values) > len(self.partitioned_by):
            raise ValueError(
                f"{self.name} is partitioned by {self.partitioned_by}, got {len(values)} values"
            )
        folders = [f"{k}={v}" for k, v in zip(self.partitioned_by, values, strict=False)]
        return "/".join([self.name, *folders])

    def part(self, name: str, *values: str) -> str:
        """The path of one file, relative to the output; ``values`` as for :meth:`partition`."""
        return f"{self.partition(*values)}/{name}.parquet"


def _columns(*columns: tuple[str, pa.DataType, str] | Column) -> tuple[Column, ...]:
    return tuple(c if isinstance(c, Column) else Column(*c) for c in columns)


_IMAGE_ID = Column(
    "image_id",
    pa.string(),
    "128-bit hash (hex) of the dataset's name and the image's path below its root",
)
_URI = Column("uri", pa.string(), "location of the image, as fsspec takes it")
_CLASS_ID = Column("class_id", pa.int32(), "position of the class in the sorted list of names")
_CLASS_NAME = Column("class_name", pa.string(), "name of the class, unchanged")
_CLASS_OF_IMAGE = Column("class_id", pa.int32(), f"{_CLASS_ID.meaning}; -1 with several labels")
_LABELS_OF_IMAGE = Column(
    "class_name",
    pa.string(),
    f"{_CLASS_NAME.meaning}; with several labels the sorted names of all its classes as JSON",
)
_VERSION = Column(
    "version",
    pa.string(),
    "state of the file: size and mtime, etag, or the manifest's version; empty if unknown",
)
_CONTENT = Column(
    "content",
    pa.string(),
    "128-bit BLAKE2b hash (hex) of the file's bytes; null if there is no file or it is unreadable",
    nullable=True,
)
_COMPUTED_ON = Column(
    "computed_on",
    pa.string(),
    "processor, libraries and size of a pass that the features are of; null if not recorded",
    nullable=True,
)
_LAYER = Column("layer", pa.string(), "layer of the network")
_UNIT = Column("unit", pa.int32(), "position within the layer, counted from 0")
_SHUFFLE = Column("shuffle", pa.int32(), "0 for the true labels, 1..R for the permutations")
_SIGN = Column("sign", pa.string(), "'+' for positive distances, '-' for negative ones")

_DEVIATION = Column(
    "deviation", pa.float64(), "standard deviation of accuracy over folds; null for one", True
)
_LOW = Column(
    "low",
    pa.float64(),
    "lower end of the 95 % interval of accuracy: Student's over folds, Wilson's for one",
    True,
)
_HIGH = Column("high", pa.float64(), "upper end", True)
_METHOD = Column("method", pa.string(), "as in probe")
_N_TRAIN = Column("n_train", pa.int64(), "training images, of one fold")
_N_TEST = Column("n_test", pa.int64(), "test images, of one fold")
_ACCURACY = Column("accuracy", pa.float64(), "share of the test images that get their class", True)
_FOLDS = Column("folds", pa.int32(), "random splits")

IMAGES = Table(
    "images",
    ("dataset",),
    (_IMAGE_ID, _URI, _CLASS_OF_IMAGE, _LABELS_OF_IMAGE, _VERSION),
    ("dataset", "image_id"),
    "all indexed images, with their classes",
)
IMAGE_CLASSES = Table(
    "image_classes",
    ("dataset",),
    (_IMAGE_ID, _CLASS_ID, _CLASS_NAME),
    ("dataset", "image_id", "class_id"),
    "where images have several labels: one row for each label of an image. Elsewhere images has "
    "the class of each image",
)
FAILURES = Table(
    "failures",
    ("network", "dataset"),
    _columns(
        _IMAGE_ID,
        _URI,
        _CLASS_OF_IMAGE,
        _LABELS_OF_IMAGE,
        _VERSION,
        _CONTENT,
        ("stage", pa.string(), "step that failed: read or decode"),
        ("error", pa.string(), "kind of error, for example FileNotFoundError"),
        ("message", pa.string(), "description of the error"),
    ),
    ("network", "dataset", "image_id"),
    "images that could not be embedded, and the reasons",
)
EMBEDDINGS = Table(
    "embeddings",
    ("network", "dataset"),
    (_IMAGE_ID, _CLASS_OF_IMAGE, _LABELS_OF_IMAGE, _VERSION, _CONTENT, _COMPUTED_ON),
    ("network", "dataset", "image_id"),
    "one row for each image; after these columns follows one array<float> column for each layer",
    open_ended=True,
)
DUPLICATES = Table(
    "duplicates",
    ("dataset",),
    _columns(
        _IMAGE_ID,
        _URI,
        _CLASS_OF_IMAGE,
        _LABELS_OF_IMAGE,
        Column(
            "content", pa.string(), "hash of the bytes, shared with other images; see embeddings"
        ),
        (
            "in_class",
            pa.int64(),
            "images of its class with this content, itself included; with several labels those of "
            "the same labels",
        ),
        ("in_dataset", pa.int64(), "images of its dataset with this content"),
        ("in_all", pa.int64(), "images of all configured datasets with this content"),
    ),
    ("dataset", "image_id"),
    "embedded images whose files are byte-identical to the files of other images",
)
FEATURES = Table(
    "features",
    ("network",),
    _columns(
        _LAYER,
        _UNIT,
        ("feature", pa.int32(), "position within the whole embedding, counted from 0"),
        ("kind", pa.string(), "conv (pooled over space), fc, or other"),
        ("depth", pa.int32(), "position of the layer within the embedding, counted from 0"),
        Column("name", pa.string(), "what the unit is; null for most, which have no name", True),
    ),
    ("network", "layer", "unit"),
    "the features of a network's embedding (paper table 1)",
)
RANGES = Table(
    "ranges",
    ("network", "dataset"),
    _columns(
        _LAYER,
        _UNIT,
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
    _columns(
        _LAYER,
        _UNIT,
        (
            "class_id",
            pa.int32(),
            f"{_CLASS_ID.meaning}; with several labels an image, -1 for all images, to which the "
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
    _columns(
        _LAYER,
        _UNIT,
        _CLASS_ID,
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
    _columns(
        _LAYER,
        _UNIT,
        _CLASS_ID,
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
    _columns(
        _LAYER,
        _UNIT,
        _CLASS_ID,
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
    _columns(
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
    _columns(
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
    _columns(
        _LAYER,
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
    _columns(
        ("kind", pa.string(), "conv, fc or other"),
        _LAYER,
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
    _columns(
        _CLASS_ID,
        _SHUFFLE,
        _SIGN,
        ("x", pa.float64(), "distance, on the grid 0, 0.01, .. 1"),
        ("n_features", pa.int64(), "number of features with ks (sign '-': -ks) strictly above x"),
    ),
    ("network", "dataset", "labels", "class_id", "shuffle", "sign", "x"),
    "for each class, a curve of the number of features beyond x (paper figure 9)",
)

EXEMPLARS = Table(
    "exemplars",
    ("network", "dataset"),
    (
        _LAYER,
        _UNIT,
        Column("rank", pa.int32(), "1 for the image that excites the unit most, then 2, 3, .."),
        Column("image_id", pa.string(), "the image; the smallest id among byte-identical ones"),
        Column("activation", pa.float64(), "the maximum of the unit's map over the image"),
        Column("y", pa.int32(), "row of the map, the first that has it; null without a map", True),
        Column("x", pa.int32(), "column of the map; the token where there are tokens", True),
        Column("view", pa.int32(), "the crop: 0 for the centre, or 0 .. 9 of ten crops", True),
        Column("x0", pa.int32(), "left edge of the patch in the resized image, in pixels", True),
        Column("y0", pa.int32(), "top edge", True),
        Column("x1", pa.int32(), "right edge, exclusive", True),
        Column("y1", pa.int32(), "bottom edge, exclusive", True),
        Column("n_active", pa.int64(), "images whose maximum is above 0, the same in all ranks"),
        Column("n", pa.int64(), "images looked at"),
    ),
    ("network", "dataset", "layer", "unit", "rank"),
    "the images of the reference corpus that excite each unit most, and where; of ready-made "
    "embeddings, those with the highest values",
)

TRANSFORMS = Table(
    "transforms",
    ("network", "dataset"),
    _columns(
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
    _columns(
        _LAYER,
        _UNIT,
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
    (_IMAGE_ID, _CLASS_OF_IMAGE, _LABELS_OF_IMAGE),
    ("network", "dataset", "image_id"),
    "full-network embedding; one row for each image; after these columns follows one "
    "array<tinyint> column for each layer: its features, standardised and discretised to -1, 0, +1",
    open_ended=True,
)
PRUNED = Table(
    "pruned",
    ("network", "dataset"),
    (_IMAGE_ID, _CLASS_OF_IMAGE, _LABELS_OF_IMAGE),
    ("network", "dataset", "image_id"),
    "relevant features only; one row for each image; after these columns follows one array column "
    "for each layer, perhaps with empty lists: the values of embeddings for features beyond a "
    "threshold for at least one class, in the order of their units",
    open_ended=True,
)
PROBE = Table(
    "probe",
    ("network", "dataset"),
    _columns(
        ("layer", pa.string(), "layer of the network, or '*' for all layers side by side"),
        (
            "features",
            pa.string(),
            "all (embeddings), relevant (pruned) or full_network; the test images were among those "
            "from which relevance, means and deviations were computed",
        ),
        (
            "class_id",
            pa.int32(),
            "position of the class in the sorted list of names; -1: all classes",
        ),
        (
            "method",
            pa.string(),
            "LinearSVC, LinearSVC pairs, LogisticRegression or neighbours; SGD if the images did "
            "not fit into memory; majority",
        ),
        ("n_features", pa.int32(), "number of features of an image"),
        ("n_train", pa.int64(), "training images of the class, of one fold"),
        (
            "n_test",
            pa.int64(),
            "test images of the class, of all folds; none if the class has one image",
        ),
        ("correct", pa.int64(), "test images that got their own class"),
        Column("accuracy", pa.float64(), "correct / n_test; null without test images", True),
        _FOLDS,
        _DEVIATION,
        _LOW,
        _HIGH,
        Column(
            "mean_of_classes",
            pa.float64(),
            "mean of the accuracies of the classes; null in the row of a class",
            True,
        ),
        Column("c", pa.float64(), "penalty of errors, the median of the folds; null if none", True),
    ),
    ("network", "dataset", "layer", "features", "class_id"),
    "accuracy of classifiers on the features of each layer",
)
TRAINING_SIZE = Table(
    "training_size",
    ("network", "dataset"),
    _columns(
        _LAYER,
        ("classifier", pa.string(), "svm, svm_pairs, softmax or knn"),
        ("train_per_class", pa.int32(), "images of a class to train with, or all but one of fewer"),
        _METHOD,
        ("n_train", pa.int64(), "training images of all classes, of one fold"),
        ("n_test", pa.int64(), "test images of all classes, of one fold"),
        Column("accuracy", pa.float64(), "mean of the accuracies of the classes, over folds", True),
        _FOLDS,
        _DEVIATION,
        _LOW,
        _HIGH,
        Column("c", pa.float64(), "penalty of errors, the median of the folds; null if none", True),
    ),
    ("network", "dataset", "layer", "classifier", "train_per_class"),
    "accuracy by the number of training images (Zeiler & Fergus 2013, tables 4, 5 and 7, figure 9)",
)

LABEL_ENTROPY = Table(
    "label_entropy",
    ("network", "dataset"),
    _columns(
        _LAYER,
        _UNIT,
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
    _columns(
        _LAYER,
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
    _columns(
        _LAYER,
        _CLASS_ID,
        _UNIT,
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
    _columns(
        _LAYER,
        _CLASS_ID,
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
    _columns(
        _LAYER,
        _CLASS_ID,
        ("kind", pa.string(), "best: of the highest average precision; random: drawn by chance"),
        ("place", pa.int32(), "1 to 5"),
        ("recall", pa.float64(), "recall, on the grid 0, 0.05, .. 1"),
        ("precision", pa.float64(), "the highest precision at this recall or a higher one"),
    ),
    ("network", "dataset", "layer", "class_id", "kind", "place", "recall"),
    "precision and recall of single features as detectors (Agrawal et al. 2014, figure 3)",
)

DIMENSIONS = Table(
    "dimensions",
    ("network", "dataset"),
    _columns(
        _LAYER,
        ("dimensions", pa.int32(), "principal components, or all features of the layer"),
        ("reduced", pa.bool_(), "whether they are components; false for the features themselves"),
        _METHOD,
        _N_TRAIN,
        _N_TEST,
        _ACCURACY,
        Column("share", pa.float64(), "accuracy as a share of that of all features", True),
        _FOLDS,
        _LOW,
        _HIGH,
    ),
    ("network", "dataset", "layer", "dimensions", "reduced"),
    "accuracy by the number of principal components, which are those of the training images "
    "(Azizpour et al. 2014, section 3.2.2)",
)
SOURCES = Table(
    "sources",
    ("network", "dataset"),
    _columns(
        ("sources", pa.string(), "the network, or all networks side by side, with + between them"),
        ("n_sources", pa.int32(), "number of these networks"),
        ("layers", pa.string(), "their layers, in the same order, with + between them"),
        ("n_features", pa.int32(), "features of these layers together"),
        _METHOD,
        _N_TRAIN,
        _N_TEST,
        ("accuracy", pa.float64(), "share of the test images that get their class"),
        _FOLDS,
        _LOW,
        _HIGH,
    ),
    ("network", "dataset", "sources"),
    "accuracy by one layer of each network alone and by these layers side by side; network is the "
    "first of those compared (Azizpour et al. 2014, table 3)",
    side_by_side=True,
)
RETRIEVAL = Table(
    "retrieval",
    ("network", "dataset"),
    _columns(
        _LAYER,
        (
            "windows",
            pa.int32(),
            "windows of each image, of which the nearest two count: 1 (the whole image) or 30; "
            "0: the embeddings, over the crops of the network",
        ),
        ("whitened", pa.bool_(), "whether by whitened components; false for the features as are"),
        ("dimensions", pa.int32(), "principal components that vary, or all features of the layer"),
        ("n_images", pa.int64(), "images that take part"),
        ("n_queries", pa.int64(), "test images, each of which is compared with all other images"),
        (
            "mean_average_precision",
            pa.float64(),
            "mean over the queries of the average precision, where images of the query's class are "
            "relevant and those at one distance are retrieved together",
        ),
        Column(
            "low",
            pa.float64(),
            "lower end of its 95 % interval: Student's over the queries; null for a single query",
            True,
        ),
        _HIGH,
        ("chance", pa.float64(), "the same where all images are equally far"),
    ),
    ("network", "dataset", "layer", "windows", "whitened"),
    "whether the nearest images are of the same class, by the Euclidean distance of vectors of "
    "length 1 (Azizpour et al. 2014, section 5)",
)
_MAP_SIDE = Column("map_side", pa.int32(), "places of a side of the layer's maps of one crop")

GRIDS = Table(
    "grids",
    ("network", "dataset"),
    _columns(
        _LAYER,
        ("pooling", pa.string(), "mean or max, over the places of a cell"),
        ("grid", pa.int32(), "cells of a side of the grid: 1, 2 or 3"),
        _MAP_SIDE,
        ("n_features", pa.int32(), "cells times units"),
        _METHOD,
        _N_TRAIN,
        _N_TEST,
        _ACCURACY,
        _FOLDS,
        _LOW,
        _HIGH,
    ),
    ("network", "dataset", "layer", "pooling", "grid"),
    "accuracy by the maps of one centre crop, pooled over the cells of a grid, for every layer of "
    "maps (Azizpour et al. 2014)",
)
ABLATIONS = Table(
    "ablations",
    ("network", "dataset"),
    _columns(
        _LAYER,
        (
            "form",
            pa.string(),
            "as_is: whole maps; binarised: 1 where a value is above 0, else 0; shuffled: places in "
            "a random order, the same for all units of an image; max: the maximum of each map",
        ),
        Column("map_side", pa.int32(), f"{_MAP_SIDE.meaning}; null for a layer without maps", True),
        Column(
            "averaged",
            pa.int32(),
            "places of a side of the squares that are averaged first, because the layer has more "
            "than 100,352 values; 1: none are; null for a layer without maps",
            True,
        ),
        ("n_features", pa.int32(), "values of an image"),
        _METHOD,
        _N_TRAIN,
        _N_TEST,
        _ACCURACY,
        _FOLDS,
        _LOW,
        _HIGH,
    ),
    ("network", "dataset", "layer", "form"),
    "accuracy by the whole maps of one centre crop, and by what is left of them without magnitudes "
    "or without places (Agrawal et al. 2014, table 7)",
)

_CHOSEN: Final = (
    Column(
        "class_unit",
        pa.int32(),
        "unit of the classifier: the true class, or the likeliest one of the image as it is; null "
        "without a classifier",
        True,
    ),
    Column("true_class", pa.bool_(), "whether that is the true class"),
)
_LIKELIEST: Final = (
    Column("probability", pa.float64(), "of that class, by softmax; null without one", True),
    Column("likeliest", pa.int32(), "unit of the classifier; null without one", True),
    Column("likeliest_name", pa.string(), "its name; null where it is not known", True),
)

INVARIANCE = Table(
    "invariance",
    ("network", "dataset"),
    _columns(
        _IMAGE_ID,
        _LAYER,
        ("change", pa.string(), "shift, scale or rotation"),
        (
            "amount",
            pa.float64(),
            "pixels down; factor about the middle; degrees, counter-clockwise",
        ),
        (
            "distance",
            pa.float64(),
            "Euclidean distance of the layer's values of the image as it is and changed, at all "
            "places of the maps",
        ),
        ("length", pa.float64(), "Euclidean length of these values of the image as it is"),
        ("is_classifier", pa.bool_(), "whether the units of the layer are the classes"),
    ),
    ("network", "dataset", "image_id", "layer", "change", "amount"),
    "how far each layer moves when a chosen image is changed (Zeiler & Fergus 2013, figure 5)",
)
INVARIANCE_VIEWS = Table(
    "invariance_views",
    ("network", "dataset"),
    _columns(
        _IMAGE_ID,
        ("change", pa.string(), "as in invariance"),
        ("amount", pa.float64(), "as in invariance"),
        *_CHOSEN,
        *_LIKELIEST,
        Column("picture", pa.binary(), "the image so changed, small, as PNG; null for most", True),
    ),
    ("network", "dataset", "image_id", "change", "amount"),
    "what the classifier says of each chosen image, changed",
)
OCCLUSION = Table(
    "occlusion",
    ("network", "dataset"),
    _columns(
        _IMAGE_ID,
        ("y", pa.int32(), "first row of the crop that the square hides"),
        ("x", pa.int32(), "first column of the crop that the square hides"),
        ("activation", pa.float64(), "sum of the map"),
        *_LIKELIEST,
    ),
    ("network", "dataset", "image_id", "y", "x"),
    "what a grey square hides at every place of a chosen image (Zeiler & Fergus 2013, figure 7)",
)
OCCLUSION_IMAGES = Table(
    "occlusion_images",
    ("network", "dataset"),
    _columns(
        _IMAGE_ID,
        _CLASS_NAME,
        _LAYER,
        ("unit", pa.int32(), "whose map has the highest sum in the image as it is"),
        ("activation", pa.float64(), "that sum"),
        *_CHOSEN,
        *_LIKELIEST,
        ("side", pa.int32(), "pixels of a side of the square"),
        ("stride", pa.int32(), "pixels between two places"),
        ("picture", pa.binary(), "the crop that the network sees, as PNG"),
        ("projection", pa.binary(), "the maximum of the map, projected to pixels, as PNG"),
    ),
    ("network", "dataset", "image_id"),
    "the chosen images of occlusion, as they are",
)
CORRESPONDENCE = Table(
    "correspondence",
    ("network", "dataset"),
    _columns(
        _LAYER,
        ("part", pa.string(), "which part is hidden"),
        ("random", pa.bool_(), "whether it is a box of the part's size at a random place instead"),
        ("n_images", pa.int32(), "images whose part is hidden"),
        ("n_skipped", pa.int32(), "images of the file without the part, or with it off the crop"),
        ("n_values", pa.int64(), "values of the layer, at all places of the maps"),
        ("draws", pa.int32(), "random places of each box; 1 for the part itself"),
        (
            "mean",
            pa.float64(),
            "share of the values whose change has another sign in two images: mean over the pairs",
        ),
        ("deviation", pa.float64(), "standard deviation over the pairs, divided by their number"),
        (
            "delta",
            pa.float64(),
            "sum over both orders of every pair: mean x n_images x (n_images - 1)",
        ),
    ),
    ("network", "dataset", "layer", "part", "random"),
    "whether hiding the same part changes the values of a layer alike in different images (Zeiler "
    "& Fergus 2013, table 1)",
)

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


def with_layers(table: Table, layers: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema of one file of an open-ended table: its columns, then a list column per layer.

    ``layers`` maps each layer, in order, to the type of its elements.
    """
    fields = [
        pa.field(name, pa.list_(pa.field("element", value, nullable=False)), nullable=False)
        for name, value in layers.items()
    ]
    return pa.schema([*table.schema, *fields])


def embeddings_schema(layers: Sequence[str], value: pa.DataType | None = None) -> pa.Schema:
    """The schema of one ``embeddings`` file: the fixed columns, then a list column per layer.

    ``value`` is the type of the elements: float32, or float64 for ready-made float64 columns.
    """
    return with_layers(EMBEDDINGS, dict.fromkeys(layers, value or pa.float32()))

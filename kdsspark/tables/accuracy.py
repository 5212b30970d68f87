"""The tables of `probe` and of experiments that ask how well a whole layer tells classes."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from kdsspark.tables.shared import LAYER
from kdsspark.tables.table import Column, Table, columns

_METHOD = Column("method", pa.string(), "as in probe")
_N_TRAIN = Column("n_train", pa.int64(), "training images, of one fold")
_N_TEST = Column("n_test", pa.int64(), "test images, of one fold")
_ACCURACY = Column("accuracy", pa.float64(), "share of the test images that get their class", True)
_FOLDS = Column("folds", pa.int32(), "random splits")
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
_OF_TRIALS: Final = (_METHOD, _N_TRAIN, _N_TEST, _ACCURACY, _FOLDS, _LOW, _HIGH)
_MAP_SIDE = Column("map_side", pa.int32(), "places of a side of the layer's maps of one crop")

PROBE = Table(
    "probe",
    ("network", "dataset"),
    columns(
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
    columns(
        LAYER,
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
DIMENSIONS = Table(
    "dimensions",
    ("network", "dataset"),
    columns(
        LAYER,
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
    columns(
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
    columns(
        LAYER,
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
GRIDS = Table(
    "grids",
    ("network", "dataset"),
    columns(
        LAYER,
        ("pooling", pa.string(), "mean or max, over the places of a cell"),
        ("grid", pa.int32(), "cells of a side of the grid: 1, 2 or 3"),
        _MAP_SIDE,
        ("n_features", pa.int32(), "cells times units"),
        *_OF_TRIALS,
    ),
    ("network", "dataset", "layer", "pooling", "grid"),
    "accuracy by the maps of one centre crop, pooled over the cells of a grid, for every layer of "
    "maps (Azizpour et al. 2014)",
)
ABLATIONS = Table(
    "ablations",
    ("network", "dataset"),
    columns(
        LAYER,
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
        *_OF_TRIALS,
    ),
    ("network", "dataset", "layer", "form"),
    "accuracy by the whole maps of one centre crop, and by what is left of them without magnitudes "
    "or without places (Agrawal et al. 2014, table 7)",
)

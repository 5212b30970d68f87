"""The tables of experiments on chosen images: `invariance`, `occlusion`, `correspondence`."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from kdsspark.tables.shared import CLASS_NAME, IMAGE_ID, LAYER
from kdsspark.tables.table import Column, Table, columns

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
    columns(
        IMAGE_ID,
        LAYER,
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
    columns(
        IMAGE_ID,
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
    columns(
        IMAGE_ID,
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
    columns(
        IMAGE_ID,
        CLASS_NAME,
        LAYER,
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
    columns(
        LAYER,
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

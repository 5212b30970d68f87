"""The tables of `index`, `embed` and `exemplars`: a row is of an image, or of a feature."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from kdsspark.tables.shared import (
    CLASS_ID,
    CLASS_NAME,
    CLASS_OF_IMAGE,
    IMAGE_ID,
    LABELS_OF_IMAGE,
    LAYER,
    UNIT,
)
from kdsspark.tables.table import Column, Table, columns, with_layers

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
_URI = Column("uri", pa.string(), "location of the image, as fsspec takes it")

IMAGES = Table(
    "images",
    ("dataset",),
    (IMAGE_ID, _URI, CLASS_OF_IMAGE, LABELS_OF_IMAGE, _VERSION),
    ("dataset", "image_id"),
    "all indexed images, with their classes",
)
IMAGE_CLASSES = Table(
    "image_classes",
    ("dataset",),
    (IMAGE_ID, CLASS_ID, CLASS_NAME),
    ("dataset", "image_id", "class_id"),
    "where images have several labels: one row for each label of an image. Elsewhere images has "
    "the class of each image",
)
FAILURES = Table(
    "failures",
    ("network", "dataset"),
    columns(
        IMAGE_ID,
        _URI,
        CLASS_OF_IMAGE,
        LABELS_OF_IMAGE,
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
    (IMAGE_ID, CLASS_OF_IMAGE, LABELS_OF_IMAGE, _VERSION, _CONTENT, _COMPUTED_ON),
    ("network", "dataset", "image_id"),
    "one row for each image; after these columns follows one array<float> column for each layer",
    open_ended=True,
)
DUPLICATES = Table(
    "duplicates",
    ("dataset",),
    columns(
        IMAGE_ID,
        _URI,
        CLASS_OF_IMAGE,
        LABELS_OF_IMAGE,
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
    columns(
        LAYER,
        UNIT,
        ("feature", pa.int32(), "position within the whole embedding, counted from 0"),
        ("kind", pa.string(), "conv (pooled over space), fc, or other"),
        ("depth", pa.int32(), "position of the layer within the embedding, counted from 0"),
        Column("name", pa.string(), "what the unit is; null for most, which have no name", True),
    ),
    ("network", "layer", "unit"),
    "the features of a network's embedding (paper table 1)",
)
EXEMPLARS = Table(
    "exemplars",
    ("network", "dataset"),
    (
        LAYER,
        UNIT,
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


def embeddings_schema(layers: Sequence[str], value: pa.DataType | None = None) -> pa.Schema:
    """The schema of one ``embeddings`` file: the fixed columns, then a list column per layer.

    ``value`` is the type of the elements: float32, or float64 for ready-made float64 columns.
    """
    return with_layers(EMBEDDINGS, dict.fromkeys(layers, value or pa.float32()))

"""Columns that stand in tables of several modules, each declared once."""

from __future__ import annotations

import pyarrow as pa

from kdsspark.tables.table import Column

IMAGE_ID = Column(
    "image_id",
    pa.string(),
    "128-bit hash (hex) of the dataset's name and the image's path below its root",
)
CLASS_ID = Column("class_id", pa.int32(), "position of the class in the sorted list of names")
CLASS_NAME = Column("class_name", pa.string(), "name of the class, unchanged")
CLASS_OF_IMAGE = Column("class_id", pa.int32(), f"{CLASS_ID.meaning}; -1 with several labels")
LABELS_OF_IMAGE = Column(
    "class_name",
    pa.string(),
    f"{CLASS_NAME.meaning}; with several labels the sorted names of all its classes as JSON",
)
LAYER = Column("layer", pa.string(), "layer of the network")
UNIT = Column("unit", pa.int32(), "position within the layer, counted from 0")

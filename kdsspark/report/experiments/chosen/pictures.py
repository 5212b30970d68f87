"""Pictures that a query brings along, for figures."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from kdsspark.report.figures.panels import datasets_in_order

MOST: Final = 8
"""Images in one figure; more would make it too long to be read."""


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    """Uint8 RGB [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def first_images(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the images that a figure has room for: equally many of each dataset, if it can.

    ``frame`` has images_per_class, dataset and image_id.
    """
    names = datasets_in_order(frame)
    own = {name: frame.loc[frame["dataset"] == name, "image_id"].unique() for name in names}
    places = [(place, name) for name in names for place in range(len(own[name]))]
    kept = [own[name][place] for place, name in sorted(places, key=lambda one: one[0])[:MOST]]
    found: pd.DataFrame = frame[frame["image_id"].isin(kept)]
    return found

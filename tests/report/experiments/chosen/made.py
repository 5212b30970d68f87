"""A picture of one colour."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()

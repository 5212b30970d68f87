"""Windows of an image at several sizes, each as large as a network's crop (executor).

Azizpour et al. 2014, section 5: the whole image, 4 windows of 4/9 of its area, 9 of 4/16 and 16 of
4/25. Those of one size lie on a regular grid from edge to edge; each has half a side in common with
the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

GRIDS: Final = (1, 2, 3, 4)
"""Windows along a side; of ``n``, each takes 2 / (n + 1) of it."""

WINDOWS: Final = sum(n * n for n in GRIDS)
"""Windows of an image: 30."""

Box = tuple[float, float, float, float]


def short_side(size: int) -> int:
    """Pixels of the short side of an image whose smallest windows have ``size`` pixels or more."""
    return -(-size * (GRIDS[-1] + 1) // 2)


def boxes(width: float, height: float) -> Iterator[Box]:
    """(left, top, right, bottom) of each window in pixels: the whole image, then row by row."""
    for n in GRIDS:
        x, y = width / (n + 1), height / (n + 1)
        for row in range(n):
            for column in range(n):
                yield column * x, row * y, (column + 2) * x, (row + 2) * y


def windows(
    image: npt.NDArray[np.uint8], size: int, interpolation: str
) -> list[npt.NDArray[np.uint8]]:
    """The windows of uint8 [height, width, channels]: each uint8 [size, size, channels].

    Each is what the whole image shows there, resized with antialias so that the window is a square
    of ``size`` pixels.
    """
    from kdsspark.images.decoding import INTERPOLATIONS  # of all that reads files, for pages no use

    picture, how = Image.fromarray(image), INTERPOLATIONS[interpolation]
    height, width = image.shape[:2]
    found = (picture.resize((size, size), how, box) for box in boxes(width, height))
    return [np.asarray(one) for one in found]

"""What an image looks like at a glance, in a few numbers that need no network (executor)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kdsspark import pixels
from kdsspark.images import decoding

_LUMA: Final = np.array([0.299, 0.587, 0.114])  # of red, green, blue (ITU-R BT.601)
_EDGE: Final = 0.1  # a change of luminance over two pixels that counts as an edge


@dataclass(frozen=True)
class Properties:
    """Takes the place of a decoder where a network's units are such numbers."""

    def __call__(self, data: bytes) -> npt.NDArray[np.float32]:
        """Float32 [units] in the order of :data:`.pixels.NAMES`; raises as decoding does."""
        image = decoding.decode(data, pixels.SHORT_SIDE)
        width, height = decoding.upright_size(data)
        return np.array([*looks(image), width / height, width * height, len(data)], np.float32)


def looks(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The first eleven numbers of RGB uint8 [height, width, channels=3], levels from 0 to 1.

    Mean and standard deviation of each channel; mean (``luminance``) and standard deviation
    (``contrast``) of the luminance; mean over pixels of (max - min) / max of the channels
    (``saturation``); variance of the Laplacian of the luminance (``sharpness``); share of pixels
    whose central difference of luminance, as a vector, is longer than 0.1 (``edge_density``). The
    last two leave out the border, and are 0 where nothing else is.
    """
    levels = image / 255
    grey = levels @ _LUMA
    highest, lowest = levels.max(2), levels.min(2)
    saturation = (highest - lowest) / np.where(highest > 0, highest, 1)
    inner = grey[1:-1, 1:-1]
    across, down = grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1]
    laplacian = grey[1:-1, 2:] + grey[1:-1, :-2] + grey[2:, 1:-1] + grey[:-2, 1:-1] - 4 * inner
    edges = np.hypot(across, down) > _EDGE
    return np.array(
        [
            *levels.mean((0, 1)),
            *levels.std((0, 1)),
            *(grey.mean(), grey.std(), saturation.mean()),
            *((laplacian.var(), edges.mean()) if inner.size else (0.0, 0.0)),
        ]
    )

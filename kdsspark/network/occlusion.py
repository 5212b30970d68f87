"""What a grey square hides from a network, place by place (Zeiler & Fergus 2014, figure 7).

A square moves over an image. At each place two things say what the network still sees: the
activation of one map, and the probabilities of the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.config import Preprocessing

_CROP: Final = 224  # pixels of a side, which these are meant for; the paper states neither
_SIDE: Final = 48
_STRIDE: Final = 16

Features = Callable[[Sequence[NDArray[np.uint8]]], Mapping[str, NDArray[np.float32]]]
"""Crops, uint8 RGB [size, size, 3] -> {layer: [crops, units]}, such as an :class:`Extractor` of
centre crops and means."""


@dataclass(frozen=True, eq=False)
class Occlusion:
    """An image seen with a square at every place [rows, columns], and as it is (``plain_...``).

    ``activation`` is the mean of the map of ``unit``; the sum, which the paper draws, is this times
    the number of the map's locations. ``chances`` are the probabilities of the classes, None
    without a classifier.
    """

    side: int
    stride: int
    unit: int  # of the layer, whose map has the highest mean as the image is
    activation: NDArray[np.float32]
    plain_activation: float
    chances: NDArray[np.float32] | None  # [rows, columns, classes]
    plain_chances: NDArray[np.float32] | None  # [classes]


def square(size: int) -> tuple[int, int]:
    """Side and stride of the square for crops of ``size`` pixels: 48 and 16 of 224."""
    return max(1, round(_SIDE * size / _CROP)), max(1, round(_STRIDE * size / _CROP))


def occlude(
    features: Features,
    image: NDArray[np.uint8],
    layer: str,
    output: str | None,
    grey: Sequence[int],
    side: int,
    stride: int,
) -> Occlusion:
    """Move a square over a crop and look at each place (executor).

    ``image``: uint8 RGB [size, size, 3], the crop that the network takes. ``layer``: whose
    strongest map is followed. ``output``: the layer whose units are the classes, with values before
    the softmax; None if there is none. ``grey``: the colour of the square, red, green, blue from 0
    to 255. ``side`` and ``stride`` are pixels. Squares lie within the crop; the first is in its
    upper left corner.

    Raises ValueError for a square that does not fit.
    """
    size = min(image.shape[:2])
    if not 0 < side <= size:
        raise ValueError(f"side must be from 1 to {size}, got {side}")
    starts = range(0, size - side + 1, stride)
    views = [covered(image, (x, y, x + side, y + side), grey) for y in starts for x in starts]
    found = features([image, *views])
    maps, grid = found[layer], (len(starts), len(starts))
    chances = None if output is None else softmax(found[output])
    unit = int(maps[0].argmax())
    return Occlusion(
        side=side,
        stride=stride,
        unit=unit,
        activation=maps[1:, unit].reshape(grid),
        plain_activation=float(maps[0, unit]),
        chances=None if chances is None else chances[1:].reshape(*grid, -1),
        plain_chances=None if chances is None else chances[0],
    )


def mean_colour(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """The colour that turns into 0, to the nearest of 256 levels: red, green, blue."""
    mean = preprocessing.mean[::-1] if preprocessing.channels == "bgr" else preprocessing.mean
    red, green, blue = (round(255 * value / preprocessing.scale) for value in mean)
    return red, green, blue


def covered(
    image: NDArray[np.uint8], box: tuple[int, int, int, int], grey: Sequence[int]
) -> NDArray[np.uint8]:
    """A copy with a box (x0, y0, x1, y1) of one colour."""
    x0, y0, x1, y1 = box
    copy = image.copy()
    copy[y0:y1, x0:x1] = grey
    return copy


def softmax(values: NDArray[Any]) -> NDArray[Any]:
    """Along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), values.dtype)

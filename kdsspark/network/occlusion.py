"""What a grey square hides from a network, place by place (Zeiler & Fergus 2014, figure 7).

A square moves over an image. At each place three numbers say what the network still sees: the
activation of one map, the probability of the true class, and the likeliest class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.config import Preprocessing

SIDE: Final = 48
"""Pixels of a side of the square, of a crop of 224; the paper states none."""

STRIDE: Final = 16
"""Pixels between two places."""

Features = Callable[[Sequence[NDArray[np.uint8]]], Mapping[str, NDArray[np.float32]]]
"""Crops, uint8 RGB [size, size, 3] -> {layer: [crops, units]}, such as an :class:`Extractor` of
centre crops and means."""


@dataclass(frozen=True, eq=False)
class Occlusion:
    """An image seen with a square at every place [rows, columns], and as it is (``plain_...``).

    ``activation`` is the mean of the map of ``unit``; the sum, which the paper draws, is this times
    the number of the map's locations.
    """

    side: int
    stride: int
    unit: int  # of the layer, whose map has the highest mean as the image is
    activation: NDArray[np.float32]
    probability: NDArray[np.float32]  # of the true class
    likeliest: NDArray[np.int32]  # class
    plain_activation: float
    plain_probability: float
    plain_likeliest: int


def occlude(
    features: Features,
    image: NDArray[np.uint8],
    layer: str,
    output: str,
    true: int,
    grey: Sequence[int],
    side: int = SIDE,
    stride: int = STRIDE,
) -> Occlusion:
    """Move a square over a crop and look at each place (executor).

    ``image``: uint8 RGB [size, size, 3], the crop that the network takes. ``layer``: whose
    strongest map is followed. ``output``: the layer whose units are the classes, with values before
    the softmax. ``true``: the class. ``grey``: the colour of the square, red, green, blue from 0 to
    255. Squares lie within the crop; the first is in its upper left corner.

    Raises ValueError for a square that does not fit, and for a class that the output lacks.
    """
    size = min(image.shape[:2])
    if not 0 < side <= size:
        raise ValueError(f"side must be from 1 to {size}, got {side}")
    starts = range(0, size - side + 1, stride)
    hidden = [_covered(image, y, x, side, grey) for y in starts for x in starts]
    found = features([image, *hidden])
    maps, chances = found[layer], _softmax(found[output])
    if not 0 <= true < chances.shape[1]:
        raise ValueError(f"true must be from 0 to {chances.shape[1] - 1}, got {true}")
    unit = int(maps[0].argmax())
    likeliest = chances.argmax(axis=1)
    grid = len(starts), len(starts)
    return Occlusion(
        side=side,
        stride=stride,
        unit=unit,
        activation=maps[1:, unit].reshape(grid),
        probability=chances[1:, true].reshape(grid),
        likeliest=likeliest[1:].reshape(grid).astype(np.int32),
        plain_activation=float(maps[0, unit]),
        plain_probability=float(chances[0, true]),
        plain_likeliest=int(likeliest[0]),
    )


def mean_colour(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """The colour that turns into 0, to the nearest of 256 levels: red, green, blue."""
    mean = preprocessing.mean[::-1] if preprocessing.channels == "bgr" else preprocessing.mean
    red, green, blue = (round(255 * value / preprocessing.scale) for value in mean)
    return red, green, blue


def _covered(
    image: NDArray[np.uint8], y: int, x: int, side: int, grey: Sequence[int]
) -> NDArray[np.uint8]:
    covered = image.copy()
    covered[y : y + side, x : x + side] = grey
    return covered


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)

"""One crop, changed: shifted, scaled about its middle, or turned (Zeiler & Fergus 2014, figure 5).

What comes in from outside the crop has one colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CROP: Final = 224  # pixels of a side, which shifts are meant for

_Change = Callable[[Image.Image, float, tuple[int, int, int]], Image.Image]


def _shift(crop: Image.Image, down: float, fill: tuple[int, int, int]) -> Image.Image:
    return _affine(crop, (1, 0, 0, 0, 1, -down), fill)


def _scale(crop: Image.Image, factor: float, fill: tuple[int, int, int]) -> Image.Image:
    steps = 1 / factor
    x, y = (side * (1 - steps) / 2 for side in crop.size)
    return _affine(crop, (steps, 0, x, 0, steps, y), fill)


def _rotation(crop: Image.Image, degrees: float, fill: tuple[int, int, int]) -> Image.Image:
    return crop.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill)


def _affine(crop: Image.Image, inverse: Sequence[float], fill: tuple[int, int, int]) -> Image.Image:
    method, resample = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return crop.transform(crop.size, method, inverse, resample, fillcolor=fill)


_CHANGES: Final[dict[str, _Change]] = {"shift": _shift, "scale": _scale, "rotation": _rotation}


def amounts(size: int) -> dict[str, list[float]]:
    """Change -> its amounts for crops of ``size`` pixels a side.

    Shifts are pixels down, -60 to 60 of a crop of 224, and as many in proportion of another. Scales
    are factors from 1 to 1.8. Rotations are degrees counter-clockwise, 0 to 350. The paper does not
    state its ranges: these are what its axes show.
    """
    shifts = sorted({round(pixels * size / _CROP) for pixels in range(-60, 61, 5)})
    return {
        "shift": [float(pixels) for pixels in shifts],
        "scale": [percent / 100 for percent in range(100, 181, 5)],
        "rotation": [float(degrees) for degrees in range(0, 351, 10)],
    }


def changed(
    crop: NDArray[np.uint8], change: str, amount: float, fill: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """``crop``, uint8 RGB [size, size, 3], changed by an amount (:func:`amounts`); bilinear.

    ``fill``: red, green and blue of what comes in from outside.
    """
    return np.asarray(_CHANGES[change](Image.fromarray(crop), amount, fill))

"""From the values that a file stores to RGB of 8 bits."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from PIL import Image, ImageCms

_INTEGER_WHITES: Final = (255, 65535)
_FLOAT_WHITES: Final = (1, 255, 65535)
_DARKEST: Final = 16
"""The brightest pixel must reach this level of 255; a picture below it has another scale."""

_PREMULTIPLIED: Final = {"La": "LA", "RGBa": "RGBA"}


class Levels(NamedTuple):
    """What the values of one file mean. Pictures of 8 bits need ``kind`` only."""

    kind: str
    """The kind of file, for messages: ``TIFF of uint16 grey``."""
    white: int | str = 65535
    """The value that is white. Where the file's type gives none: that type, by numpy's name."""
    inverted: bool = False
    """Whether the value 0 is white, and ``white`` is black."""


def to_rgb(image: Image.Image, levels: Levels) -> Image.Image:
    """Convert a loaded image of any mode to mode ``RGB``; 8-bit modes as Pillow's ``convert``.

    Raises NotImplementedError where nothing tells which value is white.
    """
    if image.mode == "F" or image.mode.startswith("I"):  # Pillow itself would clip at 255
        return _scaled(image, levels)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # None only where it works in place
        return converted
    if image.mode in _PREMULTIPLIED:  # Pillow converts these to their like only
        image = image.convert(_PREMULTIPLIED[image.mode])
    return image.convert("RGB")


def _scaled(image: Image.Image, levels: Levels) -> Image.Image:
    """Map ``[0, white]`` onto ``[0, 255]``, and round to the nearest level."""
    factor = 255 / _white(image, levels)
    values = np.array(image, dtype=np.float32)
    values *= factor
    np.rint(values, out=values)
    grey = np.clip(values, 0, 255, out=values).astype(np.uint8)
    if levels.inverted:
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")


def _white(image: Image.Image, levels: Levels) -> int:
    """The given white, or the smallest customary one that no pixel exceeds by half a level."""
    if isinstance(levels.white, int):
        return levels.white
    values = np.asarray(image).astype(levels.white, copy=False)  # Pillow gives uint32 as int32
    low, top = float(values.min()), float(values.max())
    whites = _FLOAT_WHITES if values.dtype.kind == "f" else _INTEGER_WHITES
    for white in whites:
        darkest, brightest = low * 255 / white, top * 255 / white
        if darkest > -0.5 and brightest < 255.5:  # False for NaN
            if top == 0 or brightest >= _DARKEST:
                return white
            break
    ranges = " or ".join(f"0 to {white:,}" for white in whites)
    raise NotImplementedError(
        f"{levels.kind}, not read: its values must fill {ranges}, got {low:,g} to {top:,g}"
    )

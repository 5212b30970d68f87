"""What the painters of the demo corpus share: noise, colours, planes and a camera.

Pictures are float32 ``[height, width, 3]`` from 0 to 1, sizes ``(width, height)`` in pixels of
the canvas, which is :data:`OVERSAMPLING` times as fine as the photograph taken of it.
"""

from __future__ import annotations

import colorsys
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Array = npt.NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
Size = tuple[int, int]
Point = tuple[float, float]

OVERSAMPLING: Final = 2


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour by hue (1 is a full turn), saturation and value; the last two are clipped."""
    return colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))


def ink(colour: Colour) -> tuple[int, int, int]:
    """The colour as Pillow wants it."""
    red, green, blue = (round(255 * min(max(channel, 0), 1)) for channel in colour)
    return red, green, blue


def vary(rng: np.random.Generator, colour: Colour, amount: float = 0.06) -> Colour:
    """The colour with hue, saturation and value moved at random, the hue least."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    steps = rng.normal(0, amount, 3)
    return hsv(hue + steps[0] / 3, saturation + steps[1], value + steps[2])


def noise(rng: np.random.Generator, size: Size, cell: float | Point, octaves: int = 1) -> Array:
    """Value noise ``[height, width]`` from 0 to 1: random grids, interpolated and added.

    ``cell`` is the width and height of the coarsest cells in pixels; each octave halves both
    the cells and the strength.
    """
    across, down = (cell, cell) if isinstance(cell, (int, float)) else cell
    total = np.zeros(size[::-1], dtype=np.float32)
    for octave in range(octaves):
        scale = 2.0**octave
        shape = math.ceil(size[1] * scale / down) + 3, math.ceil(size[0] * scale / across) + 3
        grid = Image.fromarray(rng.random(shape, dtype=np.float32))
        left, top = rng.random(2) + 0.5
        box = (left, top, left + size[0] * scale / across, top + size[1] * scale / down)
        total += np.asarray(grid.resize(size, Image.Resampling.BICUBIC, box=box)) / scale
    return np.clip(total / (2 - 2.0 ** (1 - octaves)), 0, 1)


def plane(size: Size, angle: float = 0.0) -> tuple[Array, Array]:
    """``x`` and ``y`` ``[height, width]`` in pixels from the centre, turned by ``angle``."""
    x = np.arange(size[0], dtype=np.float32)[None] - np.float32(size[0] / 2)
    y = np.arange(size[1], dtype=np.float32)[:, None] - np.float32(size[1] / 2)
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return x * cosine + y * sine, y * cosine - x * sine


def rgb(colour: Array | Colour) -> Array:
    """A colour, or a picture, as float32: what arithmetic with pictures needs."""
    return np.asarray(colour, dtype=np.float32)


def blend(low: Array | Colour, high: Array | Colour, share: Array) -> Array:
    """``low`` where ``share`` ``[height, width]`` is 0, ``high`` where it is 1."""
    first, second = rgb(low), rgb(high)
    mixed = np.empty((*share.shape, 3), dtype=np.float32)
    for channel in range(3):  # numpy is slow where the innermost axis is this short
        base = first[..., channel]
        mixed[..., channel] = base + (second[..., channel] - base) * share
    return mixed


def step(low: float, high: float, values: Array) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


def to_array(image: Image.Image) -> Array:
    """A Pillow picture as float32 from 0 to 1."""
    return np.asarray(image, dtype=np.float32) / 255


def to_image(picture: Array) -> Image.Image:
    """A picture as Pillow draws on it, clipped."""
    return Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))


def photograph(rng: np.random.Generator, picture: Array) -> Image.Image:
    """One 8-bit photograph: light from a side, exposure, white balance, blur, sensor noise."""
    small = to_array(to_image(picture).reduce(OVERSAMPLING))
    height, width = small.shape[:2]
    x, y = plane((width, height), rng.uniform(0, 2 * math.pi))
    light = 1 + rng.uniform(0, 0.22) * x / width - rng.uniform(0, 0.3) * (x**2 + y**2) / width**2
    balance = rng.uniform(0.88, 1.1) * rng.normal(1, 0.025, 3)
    lit = to_image(small * light[..., None] * balance.astype(np.float32))
    blurred = to_array(lit.filter(ImageFilter.GaussianBlur(max(0.0, rng.uniform(-0.4, 0.8)))))
    grain = rng.standard_normal(blurred.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.02))
    return to_image(blurred + grain)

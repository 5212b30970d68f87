"""What the painters share: colours, noise, a pen and a camera.

A picture is float32 ``[height, width, 3]`` from 0 to 1, a field float32 ``[height, width]``, a size
``(width, height)`` in pixels. Lengths are in shorter sides of the picture, if nothing else is
written, so that a small picture looks like a large one.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Array = npt.NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
Size = tuple[int, int]
Rng = np.random.Generator
Painter = Callable[[Rng, Size], Array]

_FINE: Final = 2  # the pen's pixels in a pixel of the picture, for smooth edges


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour by hue (1 is a full turn), saturation and value; the last two are clipped."""
    return colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))


def bright(rng: Rng) -> Colour:
    """Any strong colour."""
    return hsv(rng.random(), rng.uniform(0.6, 0.95), rng.uniform(0.6, 1))


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, darker by a factor below 1, lighter by one above."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def plane(size: Size, angle: float = 0.0) -> tuple[Array, Array]:
    """Fields ``x`` and ``y``, measured from the centre, turned by ``angle`` (radians)."""
    x = (np.arange(size[0], dtype=np.float32)[None] - size[0] / 2) / min(size)
    y = (np.arange(size[1], dtype=np.float32)[:, None] - size[1] / 2) / min(size)
    cosine, sine = math.cos(angle), math.sin(angle)
    return x * cosine + y * sine, y * cosine - x * sine


def noise(rng: Rng, size: Size, across: float, down: float = 0, octaves: int = 1) -> Array:
    """A field from 0 to 1: random grids, interpolated and added.

    The coarsest cells are ``across`` wide and ``down`` high (0: square). Each octave halves both
    the cells and the strength.
    """
    total = np.zeros(size[::-1], dtype=np.float32)
    for octave in range(octaves):
        wide, high = (max(cell * min(size) / 2**octave, 1) for cell in (across, down or across))
        shape = math.ceil(size[1] / high) + 3, math.ceil(size[0] / wide) + 3
        grid = Image.fromarray(rng.random(shape, dtype=np.float32))
        left, top = rng.random(2) + 0.5
        box = (left, top, left + size[0] / wide, top + size[1] / high)
        total += np.asarray(grid.resize(size, Image.Resampling.BICUBIC, box=box)) / 2**octave
    return np.clip(total / (2 - 2.0 ** (1 - octaves)), 0, 1)


def step(low: float, high: float, values: Array) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


def blend(low: Array | Colour, high: Array | Colour, share: Array) -> Array:
    """A picture: ``low`` where the field ``share`` is 0, ``high`` where it is 1."""
    first, second = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return np.asarray(first + (second - first) * share[..., None], dtype=np.float32)


def soften(picture: Array, radius: float, shift: tuple[float, float] = (0, 0)) -> Array:
    """A picture or field, blurred and moved, in pixels; 0 comes in from outside."""
    move = Image.Transform.AFFINE, (1, 0, -shift[0], 0, 1, -shift[1])
    image = to_image(picture)
    image = image.transform(image.size, *move) if any(shift) else image
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius)), dtype=np.float32) / 255


def to_image(picture: Array) -> Image.Image:
    """A picture or field in 8 bits, clipped."""
    return Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255 + 0.5))


def photograph(rng: Rng, picture: Array) -> Image.Image:
    """What a camera makes of it: light from a side, exposure, white balance, blur, noise."""
    height, width = picture.shape[:2]
    x, y = plane((width, height), rng.uniform(0, 2 * math.pi))
    light = 1 + rng.uniform(0, 0.25) * x - rng.uniform(0, 0.3) * (x**2 + y**2)
    light = light + rng.standard_normal(light.shape, dtype=np.float32) * rng.uniform(0, 0.03)
    balance = np.float32(rng.uniform(0.8, 1.1) * rng.normal(1, 0.03, 3))
    blur = max(0.0, rng.uniform(-0.3, 0.004 * min(width, height)))
    return to_image(picture * light[..., None] * balance).filter(ImageFilter.GaussianBlur(blur))


def arc(
    x: float, y: float, wide: float, high: float, start: float = 0, end: float = 1, tilt: float = 0
) -> Array:
    """Points ``[48, 2]`` on an ellipse with these half axes, from ``start`` to ``end`` in turns.

    It begins on the right and runs downwards; ``tilt`` turns the ellipse (radians).
    """
    turns = np.linspace(start, end, 48) * 2 * math.pi
    u, v = wide * np.cos(turns), high * np.sin(turns)
    cosine, sine = math.cos(tilt), math.sin(tilt)
    return np.stack([x + u * cosine - v * sine, y + u * sine + v * cosine], axis=1)


class Pen:
    """Draws on a transparent sheet: a point p lies at ``centre`` + ``scale`` * p, turned.

    ``centre`` and ``scale`` are in pixels, ``angle`` in radians; ``flip`` -1 swaps left and right.
    """

    def __init__(
        self, size: Size, scale: float, centre: Any = (0, 0), angle: float = 0, flip: int = 1
    ) -> None:
        cosine, sine = math.cos(angle) * scale * _FINE, math.sin(angle) * scale * _FINE
        self._turn = np.array([[flip * cosine, flip * sine], [-sine, cosine]])
        self._centre, self._scale = np.multiply(centre, _FINE), scale * _FINE
        self._sheet = Image.new("RGBA", (size[0] * _FINE, size[1] * _FINE))
        self._draw = ImageDraw.Draw(self._sheet)

    def polygon(self, points: npt.ArrayLike, colour: Colour) -> None:
        """A filled outline."""
        self._draw.polygon(self._placed(points), _ink(colour))

    def line(self, points: npt.ArrayLike, colour: Colour, width: float) -> None:
        """A line with round ends and joints."""
        placed, pixels = self._placed(points), max(1, round(width * self._scale))
        self._draw.line(placed, _ink(colour), pixels, joint="curve")
        for end in (placed[:2], placed[-2:]):
            self._draw.circle(end, pixels / 2 - 0.5, _ink(colour))

    def ellipse(
        self, x: float, y: float, wide: float, high: float, colour: Colour, tilt: float = 0
    ) -> None:
        """An ellipse around ``(x, y)`` with these half axes, turned by ``tilt`` (radians)."""
        self.polygon(arc(x, y, wide, high, tilt=tilt), colour)

    def box(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """A rectangle around ``(x, y)`` with these half sides."""
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        self.polygon(corners * (wide, high) + (x, y), colour)

    def sheet(self) -> tuple[Array, Array]:
        """The picture drawn, times its opacity, and the opacity (a field)."""
        drawn = np.asarray(self._sheet.convert("RGBa").reduce(_FINE), dtype=np.float32) / 255
        return drawn[..., :3], drawn[..., 3]

    def over(self, picture: Array) -> Array:
        """The picture with the sheet on top."""
        drawn, opacity = self.sheet()
        return np.asarray(picture * (1 - opacity[..., None]) + drawn)

    def _placed(self, points: npt.ArrayLike) -> list[float]:
        placed: list[float] = (np.asarray(points) @ self._turn + self._centre).ravel().tolist()
        return placed


def _ink(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * min(max(channel, 0), 1)) for channel in colour)
    return red, green, blue

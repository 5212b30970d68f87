"""A pen for things drawn on a square tile, and the outlines it fills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

from kdsspark.demo.canvas import Colour, Point, ink

_TILE: Final = 600


class Pen:
    """Draws on a square tile whose coordinates run from -1 to 1, ``y`` downwards."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (_TILE, _TILE))
        self._draw = ImageDraw.Draw(self.image)

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [((x + 1) * _TILE / 2, (y + 1) * _TILE / 2) for x, y in points]

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled outline."""
        self._draw.polygon(self._at(points), ink(colour))

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """A line with round ends and joints; ``width`` in units of the tile."""
        placed, pixels = self._at(points), max(1, round(width * _TILE / 2))
        self._draw.line(placed, ink(colour), pixels, joint="curve")
        for point in (placed[0], placed[-1]):
            self._draw.circle(point, pixels / 2 - 0.5, ink(colour))

    def ellipse(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """An upright ellipse around ``(x, y)`` with these half axes."""
        (left, top), (right, bottom) = self._at([(x - wide, y - high), (x + wide, y + high)])
        self._draw.ellipse((left, top, right, bottom), ink(colour))

    def petal(
        self, x: float, y: float, long: float, wide: float, angle: float, colour: Colour
    ) -> None:
        """An ellipse with these half axes, its long one turned by ``angle``."""
        self.polygon(ellipse(x, y, long, wide, angle), colour)


def ellipse(x: float, y: float, long: float, wide: float, angle: float) -> list[Point]:
    """60 points around ``(x, y)``; half axes, the first of them turned by ``angle``."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turns = [2 * math.pi * i / 60 for i in range(60)]
    around = [(long * math.cos(turn), wide * math.sin(turn)) for turn in turns]
    return [(x + u * cosine - v * sine, y + u * sine + v * cosine) for u, v in around]


def box(x: float, y: float, wide: float, high: float) -> list[Point]:
    """The corners of an upright rectangle around ``(x, y)`` with these half sides."""
    return [(x - wide, y - high), (x + wide, y - high), (x + wide, y + high), (x - wide, y + high)]

"""Things: one or a few of a kind, anywhere in the picture, in front of a blurred background."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from PIL import Image

from demo.canvas import (
    Array,
    Painter,
    Pen,
    Rng,
    Size,
    arc,
    blend,
    bright,
    hsv,
    noise,
    plane,
    shade,
    soften,
    step,
    to_image,
)

_DARK: Final = (0.13, 0.11, 0.12)
_WHITE: Final = (0.97, 0.96, 0.94)
_WOOD: Final = (0.38, 0.25, 0.13)


def _clock(rng: Rng, pen: Pen) -> None:
    rim, face = bright(rng), hsv(0.12, rng.uniform(0, 0.25), 0.97)
    for radius, colour in ((0.95, shade(rim, 0.7)), (0.9, rim), (0.77, face)):
        pen.ellipse(0, 0, radius, radius, colour)
    for hour in range(12):
        at = np.array([math.sin(hour * math.pi / 6), -math.cos(hour * math.pi / 6)])
        pen.line([0.7 * at, (0.64 - 0.08 * (hour % 3 == 0)) * at], _DARK, 0.04)
    for turn, length, width in ((rng.normal(0, 0.1), 0.58, 0.05), (3.67, 0.38, 0.08)):
        pen.line([(0, 0), (length * math.sin(turn), -length * math.cos(turn))], _DARK, width)
    pen.ellipse(0, 0, 0.07, 0.07, rim)


def _apple(rng: Rng, pen: Pen) -> None:
    skin = hsv(rng.choice([0.0, 0.98, 0.22, 0.13]) + rng.normal(0, 0.015), 0.8, 0.8)
    for side in (-1, 1):
        pen.ellipse(side * 0.3, 0.1, 0.62, 0.48, skin, math.pi / 2 - side * 0.12)
    pen.ellipse(0, -0.4, 0.22, 0.08, shade(skin, 0.6))
    pen.line([(0, -0.38), (0.03, -0.6), (0.12, -0.8)], _WOOD, 0.07)
    pen.ellipse(0.34, -0.68, 0.26, 0.1, hsv(0.3, 0.7, 0.6), rng.uniform(-0.6, 0.1))
    pen.ellipse(-0.42, -0.12, 0.2, 0.09, (1, 0.92, 0.88), 2)


def _butterfly(rng: Rng, pen: Pen) -> None:
    wing, spot, spread = bright(rng), bright(rng), rng.uniform(0.8, 1.1)
    for side in (-1, 1):
        for y, long, wide, tilt in ((-0.3, 0.5, 0.31, -0.65), (0.35, 0.38, 0.27, 0.75)):
            x = side * 0.44 * spread
            pen.ellipse(x, y, long, wide, _DARK, side * tilt)
            pen.ellipse(x, y, long * 0.86, wide * 0.8, wing, side * tilt)
            pen.ellipse(x * 1.2, y * 1.25, 0.13, 0.1, spot, side * tilt)
        pen.line([(0, -0.5), (side * 0.1, -0.75), (side * 0.26, -0.88)], _DARK, 0.03)
    pen.ellipse(0, 0.05, 0.075, 0.58, _DARK)


def _cup(rng: Rng, pen: Pen) -> None:
    china, band = hsv(rng.random(), rng.uniform(0, 0.25), 0.96), bright(rng)
    for y, size, factor in ((0.62, 0.95, 0.82), (0.58, 0.95, 1), (0.6, 0.5, 0.85)):
        pen.ellipse(0, y, size, size / 4, shade(china, factor))
    pen.line(arc(0.58, 0.02, 0.24, 0.2, tilt=0.5), shade(china, 0.9), 0.09)
    side = np.array([(0.6 - 0.3 * t**2.2, -0.3 + 0.88 * t) for t in np.linspace(0, 1, 20)])
    for part, colour in ((side, china), (side[4:8], band)):
        pen.polygon([*part, *(part * (-1, 1))[::-1]], colour)
    pen.ellipse(0, -0.3, 0.6, 0.17, shade(china, 0.92))
    pen.ellipse(0, -0.28, 0.52, 0.12, hsv(0.06, 0.7, rng.uniform(0.2, 0.45)))
    for x in (-0.2, 0.15):
        steam = [(x + 0.07 * math.sin(8 * y), y) for y in np.linspace(-0.9, -0.5, 12)]
        pen.line(steam, (0.93, 0.94, 0.96), 0.04)


def _fish(rng: Rng, pen: Pen) -> None:
    scales, fin = bright(rng), bright(rng)
    pen.polygon([(0.5, 0), (0.98, -0.42), (0.84, 0), (0.98, 0.42)], fin)
    pen.polygon([(-0.25, -0.25), (0.1, -0.66), (0.4, -0.2)], fin)
    pen.polygon([(-0.1, 0.3), (0.15, 0.58), (0.25, 0.2)], fin)
    pen.ellipse(-0.12, 0, 0.76, 0.42, scales)
    stripe = shade(scales, 0.55) if rng.random() < 0.6 else _WHITE
    for x in (-0.2, 0.08, 0.36):
        pen.ellipse(x, 0, 0.055, 0.36 * math.sqrt(1 - ((x + 0.12) / 0.76) ** 2), stripe)
    pen.ellipse(-0.56, -0.08, 0.1, 0.1, _WHITE)
    pen.ellipse(-0.58, -0.08, 0.05, 0.055, _DARK)
    pen.line([(-0.84, 0.1), (-0.72, 0.13), (-0.64, 0.1)], _DARK, 0.025)


def _flower(rng: Rng, pen: Pen) -> None:
    colour, petals, green = bright(rng), int(rng.integers(6, 13)), hsv(0.31, 0.7, 0.5)
    pen.line([(0, -0.25), (0.06, 0.4), (0, 1)], green, 0.07)
    pen.ellipse(0.3, 0.62, 0.3, 0.11, green, -0.5)
    pen.ellipse(-0.27, 0.45, 0.28, 0.1, shade(green, 0.85), 0.6)
    for half in np.arange(2 * petals):
        turn = 2 * math.pi * ((half % petals) + (half >= petals) / 2) / petals
        x, y, tone = 0.36 * math.cos(turn), 0.36 * math.sin(turn), 0.8 + 0.2 * (half >= petals)
        pen.ellipse(x, y - 0.35, 0.3, 1 / petals, shade(colour, tone), turn)
    pen.ellipse(0, -0.35, 0.2, 0.2, hsv(rng.uniform(0.09, 0.15), 0.85, 0.9))


def _house(rng: Rng, pen: Pen) -> None:
    wall, roof = hsv(rng.random(), rng.uniform(0.1, 0.5), 0.9), hsv(rng.uniform(0, 0.06), 0.7, 0.6)
    pen.box(0.41, -0.5, 0.11, 0.3, shade(roof, 0.7))
    pen.box(0, 0.32, 0.7, 0.53, wall)
    pen.polygon([(-0.9, -0.15), (0, -0.9), (0.9, -0.15)], roof)
    for row in (0.3, 0.55, 0.8):
        y = -0.9 + 0.75 * row
        pen.line([(-0.9 * row, y), (0.9 * row, y)], shade(roof, 0.8), 0.025)
    door, colour = rng.choice([-0.42, 0.0, 0.42]), bright(rng)
    for x in (-0.42, 0.0, 0.42):
        if x == door:
            pen.box(x, 0.55, 0.16, 0.3, colour)
            continue
        pen.box(x, 0.25, 0.17, 0.2, _WHITE)
        for left, y in ((-0.07, 0.17), (0.07, 0.17), (-0.07, 0.34), (0.07, 0.34)):
            pen.box(x + left, y, 0.055, 0.07, (0.4, 0.6, 0.75))


def _mushroom(rng: Rng, pen: Pen) -> None:
    cap, cream = hsv(rng.normal(0.01, 0.03), 0.85, rng.uniform(0.6, 0.9)), hsv(0.11, 0.15, 0.94)
    stem = np.array([(0.16 + 0.14 * t**3, -0.15 + t) for t in np.linspace(0, 1, 15)])
    pen.polygon([*stem, *(stem * (-1, 1))[::-1]], cream)
    pen.polygon([(-0.24, 0.12), (0.24, 0.12), (0.34, 0.3), (-0.34, 0.3)], shade(cream, 0.88))
    pen.polygon(arc(0, -0.05, 0.88, 0.82, 0.5), cap)
    pen.ellipse(0, -0.05, 0.88, 0.13, shade(cream, 0.78))
    for _ in range(rng.integers(7, 12)):
        turn, out = rng.uniform(0.25, 2.9), rng.uniform(0.3, 0.85)
        x, y = 0.8 * out * math.cos(turn), -0.16 - 0.66 * out * math.sin(turn)
        pen.ellipse(x, y, rng.uniform(0.05, 0.11), rng.uniform(0.045, 0.085), _WHITE)


def _boat(rng: Rng, pen: Pen) -> None:
    hull, cloth = bright(rng), hsv(rng.random(), rng.uniform(0, 0.4), 0.97)
    pen.line([(0, -0.95), (0, 0.5)], _WOOD, 0.05)
    pen.polygon([(0.05, -0.88), (0.05, 0.34), (0.78, 0.34)], cloth)
    pen.polygon([(-0.05, -0.75), (-0.05, 0.34), (-0.62, 0.34)], shade(cloth, 0.87))
    pen.polygon([(0.0, -0.95), (0.3, -0.88), (0.0, -0.8)], hull)
    pen.polygon([(-0.85, 0.45), (0.9, 0.45), (0.6, 0.85), (-0.6, 0.85)], hull)
    pen.line([(-0.85, 0.45), (0.9, 0.45)], shade(hull, 0.6), 0.06)


def _umbrella(rng: Rng, pen: Pen) -> None:
    cloth = bright(rng)
    other = _WHITE if rng.random() < 0.5 else shade(cloth, 0.55)
    pen.line([(0, -0.85), (0, 0.75), *arc(0.12, 0.75, 0.12, 0.14, 0.5, 0)], _WOOD, 0.06)
    ribs = np.sin(np.linspace(-math.pi / 2, math.pi / 2, 7)) * 0.92
    for panel in range(6):
        left, right = ribs[panel], ribs[panel + 1]
        edges = arc(0, 0.05, left, 0.8, -0.25, 0), arc(0, 0.05, right, 0.8, 0, -0.25)
        hem = arc((left + right) / 2, 0.05, (right - left) / 2, 0.08, 0.5, 1)
        pen.polygon([*edges[0], *hem, *edges[1]], cloth if panel % 2 else other)


def _background(rng: Rng, size: Size) -> Array:
    """Patches and shapes out of focus, in colours around one, maybe a ground to stand on."""
    small, hue, value = (size[0] // 4, size[1] // 4), rng.random(), rng.uniform(0.25, 0.9)
    near = [hsv(hue + rng.normal(0, 0.06), rng.uniform(0.1, 0.6), value + rng.normal(0, 0.1))]
    near += [hsv(hue + rng.normal(0, 0.06), rng.uniform(0.1, 0.6), value + rng.normal(0, 0.2))]
    scene = blend(near[0], near[1], noise(rng, small, rng.uniform(0.2, 1), octaves=3))
    pen = Pen(small, min(small))
    for _ in range(rng.integers(0, 22)):
        (x, y), (wide, high) = rng.random(2) * small / min(small), rng.uniform(0.02, 0.16, 2)
        outline = arc(x, y, wide, high, tilt=rng.uniform(0, math.pi))
        colour = hsv(hue + rng.choice([0, 0.1, 0.5]), 0.45, value + rng.normal(0, 0.2))
        pen.polygon(outline[:: rng.choice([1, 15])], colour)
    scene = pen.over(scene)
    if rng.random() < 0.4:
        scene = blend(scene, near[1], step(0, 0.03, plane(small)[1] - rng.uniform(0, 0.45)))
    scene = soften(scene, rng.uniform(0, 0.03) * min(small))
    return np.asarray(to_image(scene).resize(size, Image.Resampling.BICUBIC), np.float32) / 255


def _paint(draw: Callable[[Rng, Pen], None], rng: Rng, size: Size) -> Array:
    """The things on their background: rounded by the light, with soft shadows."""
    scene, side, count = (
        _background(rng, size),
        rng.uniform(-1, 1),
        int(rng.choice([1, 1, 1, 2, 3])),
    )
    for place in rng.permutation(count):
        scale = min(size) * rng.uniform(0.3, 0.52) / (1 + 0.35 * (count - 1))
        x = size[0] * (place + rng.uniform(0.35, 0.65)) / count
        y = rng.uniform(scale * 0.85, max(size[1] - scale * 0.85, scale))
        flip = 1 if draw is _clock else rng.choice([-1, 1])
        pen = Pen(size, scale, (x, y), rng.normal(0, 0.2), flip)
        draw(rng, pen)
        drawn, opacity = pen.sheet()
        shadow = soften(opacity, scale * 0.12, (-side * scale * 0.12, scale * 0.1))
        thick = soften(soften(opacity, scale * 0.09), scale * 0.09)
        slope = np.gradient(thick, axis=1) * side + np.gradient(thick, axis=0) * 0.8
        light = 1 + slope * scale * 0.28
        scene = scene * ((1 - 0.5 * shadow) * (1 - opacity))[..., None] + drawn * light[..., None]
    return np.asarray(scene)


PAINTERS: Final[dict[str, Painter]] = {
    "7 o'clock": partial(_paint, _clock),
    "apple": partial(_paint, _apple),
    "butterfly": partial(_paint, _butterfly),
    "cup & saucer": partial(_paint, _cup),
    "fish": partial(_paint, _fish),
    "flower": partial(_paint, _flower),
    "house": partial(_paint, _house),
    "mushroom": partial(_paint, _mushroom),
    "sailing boat": partial(_paint, _boat),
    "umbrella": partial(_paint, _umbrella),
}

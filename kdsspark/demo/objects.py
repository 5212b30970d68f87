"""Many classes of things, few images each: one thing anywhere, on a cluttered background."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kdsspark.demo.canvas import (
    Array,
    Colour,
    Size,
    blend,
    hsv,
    ink,
    noise,
    plane,
    to_array,
    to_image,
    vary,
)
from kdsspark.demo.pen import Pen, box, ellipse

_DARK: Final = (0.13, 0.11, 0.12)
_WHITE: Final = (0.97, 0.96, 0.94)


_Draw = Callable[[np.random.Generator, Pen], None]


def _bright(rng: np.random.Generator) -> Colour:
    return hsv(rng.random(), rng.uniform(0.65, 0.95), rng.uniform(0.65, 1))


def _scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _apple(rng: np.random.Generator, pen: Pen) -> None:
    skin = hsv(rng.choice([0.0, 0.98, 0.22, 0.13]) + rng.normal(0, 0.015), 0.8, 0.8)
    for side in (-1, 1):
        pen.petal(side * 0.3, 0.1, 0.62, 0.48, math.pi / 2 - side * 0.12, skin)
    pen.ellipse(0, 0.15, 0.45, 0.5, skin)
    pen.ellipse(0, -0.4, 0.22, 0.08, _scaled(skin, 0.6))
    pen.line([(0, -0.38), (0.03, -0.6), (0.12, -0.8)], (0.35, 0.22, 0.1), 0.07)
    leaf = hsv(rng.uniform(0.25, 0.36), 0.7, 0.6)
    pen.petal(0.34, -0.68, 0.26, 0.1, rng.uniform(-0.6, 0.1), leaf)
    pen.petal(-0.42, -0.12, 0.2, 0.09, 2.0, vary(rng, (1, 0.9, 0.85), 0.02))


def _balloon(rng: np.random.Generator, pen: Pen) -> None:
    rubber = _bright(rng)
    wave = [(0.07 * math.sin(9 * y + rng.normal()), y) for y in np.linspace(0.42, 1, 12)]
    pen.line([(0, 0.42), *wave], (0.95, 0.95, 0.92), 0.025)
    pen.polygon([(0, 0.3), (-0.1, 0.46), (0.1, 0.46)], _scaled(rubber, 0.75))
    pen.ellipse(0, -0.3, 0.55, 0.66, rubber)
    pen.petal(0.06, -0.22, 0.5, 0.42, 1.4, _scaled(rubber, 1.12))
    pen.petal(-0.24, -0.55, 0.2, 0.1, 2.2, (0.98, 0.97, 0.95))


def _butterfly(rng: np.random.Generator, pen: Pen) -> None:
    wing, spot = _bright(rng), hsv(rng.random(), 0.5, 0.97)
    spread = rng.uniform(0.85, 1.1)
    for side in (-1, 1):
        for y, long, wide, angle in ((-0.3, 0.5, 0.31, -0.65), (0.35, 0.38, 0.27, 0.75)):
            x = side * 0.44 * spread
            pen.petal(x, y, long, wide, side * angle, _DARK)
            pen.petal(x, y, long * 0.86, wide * 0.8, side * angle, wing)
            pen.petal(x * 1.2, y * 1.25, 0.13, 0.1, side * angle, spot)
        pen.line([(0, -0.5), (side * 0.1, -0.75), (side * 0.26, -0.88)], _DARK, 0.03)
    pen.ellipse(0, 0.05, 0.075, 0.58, _DARK)
    pen.ellipse(0, -0.52, 0.1, 0.1, _DARK)


def _cup(rng: np.random.Generator, pen: Pen) -> None:
    china, band = hsv(rng.random(), rng.uniform(0, 0.25), 0.96), _bright(rng)
    pen.ellipse(0, 0.62, 0.95, 0.24, _scaled(china, 0.82))
    pen.ellipse(0, 0.58, 0.95, 0.24, china)
    pen.ellipse(0, 0.6, 0.5, 0.11, _scaled(china, 0.85))
    ring = ellipse(0.58, 0.02, 0.24, 0.2, 0.5)
    pen.line([*ring, ring[0]], _scaled(china, 0.9), 0.09)
    side = [(0.6 - 0.3 * t**2.2, -0.3 + 0.88 * t) for t in np.linspace(0, 1, 20)]
    pen.polygon([*side, *[(-x, y) for x, y in reversed(side)]], china)
    pen.polygon([*side[4:8], *[(-x, y) for x, y in reversed(side[4:8])]], band)
    pen.ellipse(0, -0.3, 0.6, 0.17, _scaled(china, 0.92))
    pen.ellipse(0, -0.28, 0.52, 0.12, vary(rng, (0.32, 0.18, 0.1), 0.05))
    for x in (-0.2, 0.15):
        steam = [(x + 0.07 * math.sin(8 * y), y) for y in np.linspace(-0.9, -0.5, 12)]
        pen.line(steam, (0.93, 0.94, 0.96), 0.04)


def _fish(rng: np.random.Generator, pen: Pen) -> None:
    scale = _bright(rng)
    fin = vary(rng, hsv(rng.random(), 0.8, 0.9))
    pen.polygon([(0.5, 0), (0.98, -0.42), (0.84, 0), (0.98, 0.42)], fin)
    pen.polygon([(-0.25, -0.25), (0.1, -0.66), (0.4, -0.2)], fin)
    pen.polygon([(-0.1, 0.3), (0.15, 0.58), (0.25, 0.2)], fin)
    pen.ellipse(-0.12, 0, 0.76, 0.42, scale)
    stripe = _scaled(scale, 0.55) if rng.random() < 0.6 else (0.96, 0.96, 0.93)
    for x in (-0.2, 0.08, 0.36):
        half = 0.36 * math.sqrt(max(0.0, 1 - ((x + 0.12) / 0.76) ** 2))
        pen.petal(x, 0, half, 0.055, math.pi / 2, stripe)
    pen.ellipse(-0.56, -0.08, 0.1, 0.1, (1, 1, 1))
    pen.ellipse(-0.58, -0.08, 0.05, 0.055, _DARK)
    pen.line([(-0.84, 0.1), (-0.72, 0.13), (-0.64, 0.1)], _DARK, 0.025)


def _flower(rng: np.random.Generator, pen: Pen) -> None:
    colour, petals = _bright(rng), int(rng.integers(6, 13))
    green = hsv(rng.uniform(0.27, 0.36), 0.7, 0.5)
    pen.line([(0, -0.25), (0.06, 0.4), (0, 1)], green, 0.07)
    pen.petal(0.3, 0.62, 0.3, 0.11, -0.5, green)
    pen.petal(-0.27, 0.45, 0.28, 0.1, 0.6, _scaled(green, 0.85))
    for half in (0, 1):
        for petal in range(petals):
            angle = 2 * math.pi * (petal + half / 2) / petals
            at = 0.36 * math.cos(angle), -0.35 + 0.36 * math.sin(angle)
            pen.petal(
                *at, 0.3 - 0.04 * half, 1.0 / petals, angle, _scaled(colour, 0.8 + 0.2 * half)
            )
    pen.ellipse(0, -0.35, 0.2, 0.2, hsv(rng.uniform(0.09, 0.15), 0.85, 0.9))
    pen.ellipse(0.02, -0.33, 0.13, 0.13, hsv(0.09, 0.8, 0.65))


def _house(rng: np.random.Generator, pen: Pen) -> None:
    wall = hsv(rng.random(), rng.uniform(0.1, 0.5), 0.9)
    roof = hsv(rng.uniform(-0.03, 0.06), 0.7, 0.6)
    pen.polygon(box(0.41, -0.5, 0.11, 0.3), _scaled(roof, 0.7))
    pen.polygon(box(0, 0.32, 0.7, 0.53), wall)
    pen.polygon([(-0.9, -0.15), (0, -0.9), (0.9, -0.15)], roof)
    for row in (0.3, 0.55, 0.8):
        y = -0.9 + 0.75 * row
        pen.line([(-0.9 * row, y), (0.9 * row, y)], _scaled(roof, 0.8), 0.025)
    door = rng.choice([-0.42, 0.0, 0.42])
    pen.polygon(box(door, 0.55, 0.16, 0.3), _bright(rng))
    glass = vary(rng, (0.45, 0.65, 0.8))
    for x in (-0.42, 0.0, 0.42):
        if x != door:
            pen.polygon(box(x, 0.25, 0.17, 0.2), _WHITE)
            pen.polygon(box(x, 0.25, 0.13, 0.16), glass)
            pen.line([(x, 0.1), (x, 0.4)], _WHITE, 0.03)
            pen.line([(x - 0.12, 0.25), (x + 0.12, 0.25)], _WHITE, 0.03)


def _clock(rng: np.random.Generator, pen: Pen) -> None:
    rim, face = _bright(rng), hsv(rng.uniform(0.08, 0.16), rng.uniform(0, 0.2), 0.97)
    for radius, colour in ((0.95, _scaled(rim, 0.7)), (0.9, rim), (0.77, face)):
        pen.ellipse(0, 0, radius, radius, colour)
    for hour in range(12):
        x, y = math.sin(hour * math.pi / 6), -math.cos(hour * math.pi / 6)
        inner = 0.56 if hour % 3 == 0 else 0.64
        pen.line([(inner * x, inner * y), (0.7 * x, 0.7 * y)], _DARK, 0.06 - 0.03 * (hour % 3 > 0))
    minute = rng.normal(0, 0.08)
    for angle, length, width in ((minute, 0.58, 0.05), (7 * math.pi / 6 + minute / 12, 0.38, 0.08)):
        pen.line([(0, 0), (length * math.sin(angle), -length * math.cos(angle))], _DARK, width)
    pen.ellipse(0, 0, 0.07, 0.07, rim)


def _mushroom(rng: np.random.Generator, pen: Pen) -> None:
    cap = hsv(rng.normal(0.01, 0.02), rng.uniform(0.75, 0.95), rng.uniform(0.65, 0.9))
    stem = [(0.16 + 0.14 * t**3, -0.15 + 1.0 * t) for t in np.linspace(0, 1, 15)]
    cream = hsv(0.11, 0.15, 0.94)
    pen.polygon([*stem, *[(-x, y) for x, y in reversed(stem)]], cream)
    pen.polygon([(-0.26, 0.12), (0.26, 0.12), (0.34, 0.3), (-0.34, 0.3)], _scaled(cream, 0.88))
    dome = [
        (0.88 * math.cos(turn), -0.05 - 0.82 * math.sin(turn))
        for turn in np.linspace(0, math.pi, 40)
    ]
    pen.polygon(dome, cap)
    pen.ellipse(0, -0.05, 0.88, 0.13, _scaled(cream, 0.78))
    for _ in range(int(rng.integers(7, 12))):
        turn, out = rng.uniform(0.25, 2.9), rng.uniform(0.3, 0.85)
        x, y = 0.8 * out * math.cos(turn), -0.16 - 0.66 * out * math.sin(turn)
        pen.ellipse(x, y, rng.uniform(0.05, 0.11), rng.uniform(0.045, 0.085), (0.98, 0.96, 0.92))


def _sailing_boat(rng: np.random.Generator, pen: Pen) -> None:
    hull, cloth = _bright(rng), hsv(rng.random(), rng.uniform(0, 0.35), 0.97)
    pen.line([(0, -0.95), (0, 0.5)], (0.4, 0.26, 0.14), 0.05)
    pen.polygon([(0.05, -0.88), (0.05, 0.34), (0.78, 0.34)], cloth)
    pen.polygon([(-0.05, -0.75), (-0.05, 0.34), (-0.62, 0.34)], _scaled(cloth, 0.87))
    for t in (0.45, 0.7):
        y = -0.88 + 1.22 * t
        pen.line([(0.06, y), (0.73 * t, y)], hull, 0.05)
    pen.polygon([(0.0, -0.95), (0.3, -0.88), (0.0, -0.8)], hull)
    pen.polygon([(-0.85, 0.45), (0.9, 0.45), (0.6, 0.85), (-0.6, 0.85)], hull)
    pen.line([(-0.85, 0.45), (0.9, 0.45)], _scaled(hull, 0.6), 0.06)


def _snowman(rng: np.random.Generator, pen: Pen) -> None:
    snow, scarf = (0.96, 0.97, 1.0), _bright(rng)
    for y, radius in ((0.58, 0.42), (0.05, 0.32), (-0.38, 0.24)):
        pen.ellipse(0.02, y + 0.02, radius, radius, (0.75, 0.8, 0.9))
        pen.ellipse(0, y, radius * 0.97, radius * 0.97, snow)
    for side in (-1, 1):
        tip = side * 0.78, rng.uniform(-0.45, -0.05)
        pen.line([(side * 0.28, 0.0), tip], (0.36, 0.24, 0.14), 0.05)
        pen.ellipse(side * 0.09, -0.44, 0.035, 0.04, _DARK)
    pen.line([(-0.2, -0.2), (0, -0.15), (0.2, -0.2)], scarf, 0.12)
    pen.line([(0.12, -0.16), (0.2, 0.16)], scarf, 0.11)
    pen.polygon([(0, -0.39), (0, -0.31), (0.3, -0.32)], (0.95, 0.5, 0.12))
    for y in (0.0, 0.14, 0.5):
        pen.ellipse(0, y, 0.035, 0.035, _DARK)
    pen.polygon(box(0, -0.78, 0.19, 0.17), _DARK)
    pen.line([(-0.18, -0.67), (0.18, -0.67)], scarf, 0.08)
    pen.line([(-0.3, -0.6), (0.3, -0.6)], _DARK, 0.06)


def _umbrella(rng: np.random.Generator, pen: Pen) -> None:
    first = _bright(rng)
    second = _WHITE if rng.random() < 0.5 else _scaled(first, 0.55)
    hook = [(0.12 - 0.12 * math.cos(t), 0.75 + 0.14 * math.sin(t)) for t in np.linspace(0, 3.1, 15)]
    pen.line([(0, -0.85), (0, 0.75), *hook], (0.3, 0.2, 0.15), 0.06)
    ribs = [0.92 * math.sin(angle) for angle in np.linspace(-math.pi / 2, math.pi / 2, 7)]
    curve = np.linspace(0, math.pi / 2, 15)
    for panel, (left, right) in enumerate(pairwise(ribs)):
        down = [(left * math.sin(t), 0.05 - 0.8 * math.cos(t)) for t in curve]
        up = [(right * math.sin(t), 0.05 - 0.8 * math.cos(t)) for t in curve[::-1]]
        hem = [
            (left + (right - left) * t, 0.05 - 0.09 * math.sin(math.pi * t))
            for t in np.linspace(0, 1, 9)
        ]
        pen.polygon([*down, *hem, *up], first if panel % 2 else second)


def _background(rng: np.random.Generator, size: Size, hue: float, brightness: float) -> Image.Image:
    """Out-of-focus clutter of colours around ``hue``, over an even or a mottled ground."""
    coarse = size[0] // 4, size[1] // 4  # out of focus, so that no detail is lost
    hue += rng.normal(0, 0.03)
    ground, other = (
        hsv(hue + rng.normal(0, 0.04), rng.uniform(0.25, 0.6), brightness + rng.normal(0, 0.08))
        for _ in range(2)
    )
    image = to_image(blend(ground, other, noise(rng, coarse, rng.uniform(30, 100), 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(8, 22))):
        x, y = rng.uniform(0, 1, 2) * coarse
        across, near = rng.uniform(4, 22), hue + rng.choice([0, 0, 0.08, 0.5])
        colour = ink(vary(rng, hsv(near, 0.4, brightness + rng.normal(0, 0.2)), 0.1))
        outline = ellipse(x, y, across * rng.uniform(1, 1.8), across, rng.uniform(0, math.pi))
        draw.polygon(outline[:: rng.choice([1, 15])], colour)
    soft = image.filter(ImageFilter.GaussianBlur(rng.uniform(1, 3.5)))
    return soft.resize(size, Image.Resampling.BICUBIC)


def _place(rng: np.random.Generator, tile: Image.Image, size: Size) -> Image.Image:
    """The tile turned and scaled a little, anywhere on a transparent canvas."""
    across = round(min(size) * rng.uniform(0.65, 0.98))
    tile = tile.resize((across, across), Image.Resampling.BICUBIC)
    tile = tile.rotate(rng.normal(0, 11), Image.Resampling.BILINEAR, expand=True)
    canvas = Image.new("RGBA", size)
    x, y = (rng.uniform(-0.04, 1.04) * (size[axis] - tile.size[axis]) for axis in (0, 1))
    canvas.paste(tile, (round(x), round(y)))
    return canvas


def _paint(
    draw: _Draw, hue: float, brightness: float, rng: np.random.Generator, size: Size
) -> Array:
    """The thing with shading and a soft shadow, in front of a background around ``hue``."""
    pen = Pen()
    draw(rng, pen)
    if rng.random() < 0.5 and draw is not _clock:
        pen.image = pen.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    thing = _place(rng, pen.image, size)
    alpha = thing.getchannel("A")
    shadow = Image.new("L", size)
    shadow.paste(alpha, (round(rng.normal(0, 12)), round(rng.uniform(6, 22))))
    dark = 0.5 * to_array(shadow.filter(ImageFilter.BoxBlur(rng.uniform(5, 12))))
    left, top, right, bottom = thing.getbbox() or (0, 0, *size)
    x, _ = plane(size, rng.uniform(0.6, 2.6))
    away = (x - x[(top + bottom) // 2, (left + right) // 2]) / (right - left)
    light = 1 - 0.35 * away + 0.12 * (noise(rng, size, 30, 3) - 0.5)
    scene = blend(to_array(_background(rng, size, hue, brightness)), (0.03, 0.03, 0.05), dark)
    return blend(scene, to_array(thing.convert("RGB")) * light[..., None], to_array(alpha))


# Each thing, and hue and brightness of the places where it is usually seen.
PAINTERS: Final[dict[str, Callable[[np.random.Generator, Size], Array]]] = {
    name: partial(_paint, draw, hue, brightness)
    for name, draw, hue, brightness in (
        ("7 o'clock", _clock, 0.09, 0.75),
        ("apple", _apple, 0.3, 0.55),
        ("balloon", _balloon, 0.58, 0.85),
        ("butterfly", _butterfly, 0.2, 0.75),
        ("cup & saucer", _cup, 0.05, 0.5),
        ("fish", _fish, 0.5, 0.5),
        ("flower", _flower, 0.38, 0.8),
        ("house", _house, 0.26, 0.85),
        ("mushroom", _mushroom, 0.12, 0.35),
        ("sailing boat", _sailing_boat, 0.54, 0.75),
        ("snowman", _snowman, 0.62, 0.6),
        ("umbrella", _umbrella, 0.7, 0.35),
    )
}

"""Patterns: surfaces that are the same everywhere within a picture."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from demo.canvas import Array, Colour, Painter, Rng, Size, blend, bright, hsv, noise, plane, step


def _surface(rng: Rng, size: Size, tilt: float, bend: float) -> tuple[Array, Array]:
    """Places on the surface, in shorter sides: at any spot, turned by ``tilt``, bent by as much."""
    x, y = plane(size, tilt)
    across, down = (bend * noise(rng, size, 0.8, octaves=2) + rng.uniform(0, 9) for _ in "xy")
    return x + across, y + down


def _contrast(rng: Rng) -> tuple[Colour, Colour]:
    """A strong colour and a pale or a dark one, in any order."""
    pale = hsv(rng.random(), rng.uniform(0, 0.35), rng.choice([0.15, 0.9, 0.97]))
    return (bright(rng), pale) if rng.random() < 0.5 else (pale, bright(rng))


def _folds(rng: Rng, size: Size) -> Array:
    """Light and shade on cloth, as a picture of one channel."""
    return (0.78 + 0.44 * noise(rng, size, rng.uniform(0.3, 1.2), octaves=2))[..., None]


def bricks(rng: Rng, size: Size) -> Array:
    """Rows of bricks, each of its own colour, every other row moved by half a brick."""
    high = rng.uniform(0.08, 0.24)
    wide, mortar = high * rng.uniform(1.7, 3), high * rng.uniform(0.05, 0.1)
    x, y = _surface(rng, size, rng.normal(0, 0.15), 0.04)
    row = np.floor(y / high)
    x = x + row % 2 * wide / 2
    column = np.floor(x / wide)
    edge = np.minimum(
        wide / 2 - np.abs(x - (column + 0.5) * wide), high / 2 - np.abs(y - (row + 0.5) * high)
    )
    hue, fade = rng.choice([0.03, 0.08, 0.6]) + rng.normal(0, 0.03), rng.uniform(0.1, 0.7)
    kiln = np.array([hsv(hue, fade, rng.normal(0.62, 0.12)) for _ in range(97)], np.float32)
    clay = kiln[(row * 31 + column * 17).astype(int) % 97]
    clay = clay * (0.75 + 0.4 * noise(rng, size, 0.06, octaves=4))[..., None]
    joint = hsv(0.1, 0.1, rng.uniform(0.2, 0.85))
    return blend(joint, clay, step(mortar, mortar * 1.8, edge + 0.01 * noise(rng, size, 0.03)))


def polka_dots(rng: Rng, size: Size) -> Array:
    """Cloth with dots on a turned grid."""
    pitch = rng.uniform(0.1, 0.4)
    x, y = _surface(rng, size, rng.uniform(0, math.pi), 0.12)
    row = np.floor(y / (pitch * 0.866))
    across = (x + row % 2 * pitch / 2) % pitch - pitch / 2
    away = np.hypot(across, y - (row + 0.5) * pitch * 0.866)
    dot, cloth = _contrast(rng)
    inside = pitch * rng.uniform(0.15, 0.4)
    return blend(dot, cloth, step(inside - 0.006, inside + 0.006, away)) * _folds(rng, size)


def tartan(rng: Rng, size: Size) -> Array:
    """Woven bands: the same sequence of coloured threads both ways, crossing in a twill."""
    widths = 1 + rng.uniform(2, 16, 6) * rng.uniform(0.5, 1.4)
    tones = [*_contrast(rng), bright(rng), hsv(rng.random(), 0.7, rng.uniform(0.1, 0.5))]
    order = [0, 1, 2, 1, 0, 3]
    threads = np.repeat(np.array([tones[i] for i in order], np.float32), widths.astype(int), axis=0)
    x, y = (100 * side for side in _surface(rng, size, rng.uniform(-0.8, 0.8), 0.05))
    warp, weft = (threads[np.floor(side).astype(int) % len(threads)] for side in (x, y))
    over = step(-0.3, 0.3, np.sin((x + y) * np.float32(rng.uniform(1, 2.5))))
    return blend(warp, weft, over) * _folds(rng, size)


def wood(rng: Rng, size: Size) -> Array:
    """A planed board: year rings cut lengthwise, fibres, and maybe a knot."""
    long, wide = _surface(rng, size, rng.choice([0, math.pi / 2]) + rng.normal(0, 0.15), 0.06)
    knot = rng.uniform(0.05, 0.18) * rng.choice([0, 1]), rng.choice(long[0]), wide.mean()
    away = np.hypot((long - knot[1]) / 2.2, wide - knot[2])
    wide = wide + np.sign(wide - knot[2]) * knot[0] * np.exp(-((away / (knot[0] + 0.01)) ** 2))
    phase = (wide + 0.08 * noise(rng, size, 0.9, octaves=2)) / rng.uniform(0.03, 0.12) % 1
    ring = phase**2 * (1 - step(0.85, 1.0, phase))
    fibre = np.sin(wide * 260 + 9 * noise(rng, size, 0.3, octaves=3))
    pale = hsv(rng.uniform(0.04, 0.11), rng.uniform(0.25, 0.65), rng.uniform(0.45, 0.95))
    deep = pale[0] * 0.5, pale[1] * 0.42, pale[2] * 0.36
    return blend(pale, deep, np.clip(rng.uniform(0.5, 0.9) * ring + 0.09 * fibre, 0, 1))


PAINTERS: Final[dict[str, Painter]] = {
    "bricks": bricks,
    "polka dots": polka_dots,
    "tartan": tartan,
    "wood": wood,
}

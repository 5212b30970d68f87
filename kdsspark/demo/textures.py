"""Few classes of surfaces, many images each: the same everywhere within a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from kdsspark.demo.canvas import Array, Colour, Size, blend, hsv, noise, plane, rgb, step, vary


def bricks(rng: np.random.Generator, size: Size) -> Array:
    """Rows of bricks, each of its own colour, every other row moved by half a brick."""
    x, y = plane(size, rng.normal(0, 0.06))
    height = rng.uniform(46, 84)
    width, mortar = height * rng.uniform(2.1, 2.8), rng.uniform(3, 6)
    x = x + 5 * noise(rng, size, 50) + rng.uniform(0, width)
    y = y + 5 * noise(rng, size, 50) + rng.uniform(0, height)
    row = np.floor(y / height).astype(int)
    shifted = x + (row % 2) * width / 2
    column = np.floor(shifted / width).astype(int)
    edge = np.minimum(
        width / 2 - np.abs(shifted - (column + 0.5) * width),
        height / 2 - np.abs(y - (row + 0.5) * height),
    )
    base = hsv(rng.normal(0.035, 0.015), rng.uniform(0.45, 0.7), rng.uniform(0.5, 0.75))
    kiln = np.array([vary(rng, base, 0.055) for _ in range(97)], dtype=np.float32)
    clay = kiln[(row * 31 + column * 17) % 97]
    rough = 0.75 + 0.4 * noise(rng, size, 26, 4)
    lower = (y - (row + 0.5) * height) / height
    clay = clay * (rough * (1.06 - 0.25 * step(0.3, 0.5, lower)))[..., None]
    joint = blend((0.0,) * 3, hsv(0.1, 0.1, rng.uniform(0.5, 0.85)), 0.7 + 0.3 * rough)
    return blend(joint, clay, step(mortar, mortar + 3, edge + 3 * noise(rng, size, 12) - 1.5))


def polka_dots(rng: np.random.Generator, size: Size) -> Array:
    """Cloth with dots on a turned grid, in two colours far apart, with soft folds."""
    pitch = rng.uniform(58, 120)
    x, y = plane(size, rng.uniform(0, math.pi))
    x = x + 26 * noise(rng, size, 260) + rng.uniform(0, pitch)
    y = y + 26 * noise(rng, size, 260) + rng.uniform(0, pitch)
    row = np.floor(y / (pitch * 0.866))
    across = (x + (row % 2) * pitch / 2) % pitch - pitch / 2
    distance = np.hypot(across, y - (row + 0.5) * pitch * 0.866)
    radius = pitch * rng.uniform(0.2, 0.34)
    hue = rng.random()
    cloth = hsv(hue, rng.uniform(0.45, 0.8), rng.uniform(0.4, 0.85))
    pale = hsv(hue + rng.uniform(0.3, 0.7), rng.uniform(0, 0.3), rng.uniform(0.88, 1))
    if rng.random() < 0.35:
        cloth, pale = pale, cloth
    weave = 0.96 + 0.04 * np.sin(x * 1.4) * np.sin(y * 1.4)
    folds = 0.8 + 0.4 * noise(rng, size, (rng.uniform(90, 260), 320), 2)
    return (
        blend(pale, cloth, step(radius - 1.5, radius + 1.5, distance)) * (weave * folds)[..., None]
    )


def tartan(rng: np.random.Generator, size: Size) -> Array:
    """Woven bands: the same sequence of coloured threads both ways, crossing in a twill."""
    hue = rng.choice([0.0, 0.33, 0.6, 0.08]) + rng.normal(0, 0.03)
    ground = hsv(hue, rng.uniform(0.6, 0.9), rng.uniform(0.35, 0.75))
    second = hsv(hue + rng.choice([0.25, 0.4, 0.55]), 0.7, rng.uniform(0.15, 0.4))
    lines = hsv(rng.choice([0.14, 0.0, 0.55]), rng.uniform(0, 0.8), 0.95)
    sett: list[tuple[Colour, float]] = [
        *[(ground, rng.uniform(26, 60)), (second, rng.uniform(14, 34)), (ground, 8)],
        *[(lines, rng.uniform(3, 7)), (ground, 8), (second, rng.uniform(14, 34))],
    ]
    scale = rng.uniform(0.9, 1.9)
    threads = np.concatenate(
        [np.tile(rgb(colour), (round(width * scale), 1)) for colour, width in sett]
    )
    x, y = plane(size, rng.uniform(-0.6, 0.6))
    x = x + 9 * noise(rng, size, 220) + rng.uniform(0, 500)
    y = y + 9 * noise(rng, size, 220) + rng.uniform(0, 500)
    warp = threads[np.floor(x).astype(int) % len(threads)]
    weft = threads[np.floor(y).astype(int) % len(threads)]
    over = step(-0.3, 0.3, np.sin((x + y) * np.float32(2 * math.pi / rng.uniform(8, 13))))
    wool = 0.78 + 0.22 * noise(rng, size, 5) + 0.25 * (noise(rng, size, 200, 2) - 0.5)
    return blend(warp, weft, over) * wool[..., None]


def wood(rng: np.random.Generator, size: Size) -> Array:
    """A planed board: year rings cut lengthwise, fibres, and now and then a knot."""
    upright = rng.random() < 0.5
    x, y = plane(size, upright * math.pi / 2 + rng.normal(0, 0.07))
    long, wide = x, y + 70 * noise(rng, size, 420, 2)
    dark = np.zeros_like(wide)
    for _ in range(rng.integers(0, 3)):
        at, beside = (side * rng.uniform(-0.4, 0.4) for side in size)
        reach = rng.uniform(26, 60)
        away = np.hypot((long - at) / 2.2, y - beside)
        wide = wide + np.sign(y - beside) * reach * np.exp(-((away / reach) ** 2))
        dark = dark + 0.75 * np.exp(-((away / (reach * 0.42)) ** 2))
    spacing = rng.uniform(9, 30)
    wide = wide * (1 + 0.4 * noise(rng, size, 500)) + 10 * noise(rng, size, (300, 40), 2)
    phase = (wide / spacing) % 1
    ring = phase**2 * (1 - step(0.88, 1.0, phase))
    fibre = noise(rng, size, (4, 150) if upright else (150, 4), 2)
    pale = hsv(rng.uniform(0.065, 0.1), rng.uniform(0.35, 0.6), rng.uniform(0.6, 0.92))
    deep = tuple(channel * rng.uniform(0.42, 0.6) for channel in pale)
    grain = rng.uniform(0.45, 0.75) * ring + 0.8 * (fibre - 0.4) + dark
    return blend(pale, (deep[0], deep[1] * 0.9, deep[2] * 0.75), np.clip(grain, 0, 1.25))


PAINTERS: Final[dict[str, Callable[[np.random.Generator, Size], Array]]] = {
    "bricks": bricks,
    "polka dots": polka_dots,
    "tartan": tartan,
    "wood": wood,
}

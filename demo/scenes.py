"""Scenes: places with a horizon, without a thing in front.

Heights are shares of the picture's height from its upper edge. Lengths across are in heights, too.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from demo.canvas import (
    Array,
    Colour,
    Painter,
    Pen,
    Rng,
    Size,
    blend,
    hsv,
    noise,
    shade,
    soften,
    step,
)


def _down(size: Size) -> Array:
    return np.linspace(0, 1, size[1], dtype=np.float32)[:, None] + np.zeros(size[0], np.float32)


def _sky(rng: Rng, size: Size, top: Colour, low: Colour, horizon: float, cover: float) -> Array:
    """From ``top`` to ``low`` at the horizon, with clouds over a share ``cover``."""
    cell = rng.uniform(0.5, 1)
    field = noise(rng, size, cell, cell / 2.2, 5)
    clouds = blend(shade(low, 0.75), (1, 1, 1), step(-0.25, 0.15, field - noise(rng, size, cell)))
    sky = blend(top, low, np.clip(_down(size) / horizon, 0, 1))
    return blend(sky, clouds, 0.9 * step(1 - cover, 1.25 - cover, field))


def _ridge(rng: Rng, size: Size, level: float, swing: float, cell: float) -> Array:
    """A skyline ``[width]`` around ``level``."""
    line = noise(rng, (size[0], 1), cell * size[1], 1, octaves=5)[0]
    return np.asarray(level + swing * (line - 0.5))


def _below(size: Size, skyline: Array | float) -> Array:
    return np.asarray(np.clip((_down(size) - skyline) * size[1] + 0.5, 0, 1))


def _fir(pen: Pen, x: float, foot: float, tall: float, colour: Colour) -> None:
    pen.box(x, foot - tall / 12, tall / 40, tall / 12, shade(colour, 0.7))
    for storey in range(5):
        top, half = foot - tall * (1 - 0.15 * storey), tall * (0.07 + 0.045 * storey)
        outline = [(x, top), (x + half, top + tall * 0.28), (x - half, top + tall * 0.28)]
        pen.polygon(outline, shade(colour, 1 + 0.06 * storey))


def summer(rng: Rng, size: Size) -> Array:
    """A meadow in flower that shrinks towards hills, under white clouds."""
    horizon, hue = rng.uniform(0.3, 0.6), rng.uniform(0.16, 0.27)
    blue, pale = hsv(0.57, rng.uniform(0.3, 0.75), 0.95), hsv(0.53, 0.15, 1)
    picture = _sky(rng, size, blue, pale, horizon, rng.uniform(0.2, 0.6))
    for near in (0, 1):
        hills = _ridge(rng, size, horizon - 0.06 + 0.04 * near, 0.12, 1.6)
        picture = blend(picture, hsv(hue + 0.12 - 0.04 * near, 0.45, 0.55), _below(size, hills))
    depth = np.clip((_down(size) - horizon) / (1 - horizon), 0, 1)
    far, close = noise(rng, size, 0.04, 0.02, 2), noise(rng, size, 0.03, 0.2, 3)
    blades = step(0.2, 0.8, far + (close - far) * depth)
    grass = blend(hsv(hue + 0.06, 0.8, 0.32), hsv(hue, 0.65, 0.86), blades)
    picture = blend(picture, grass, _below(size, horizon))
    pen, kinds = Pen(size, size[1]), rng.choice([0.0, 0.14, 0.6, 0.78, 0.92], 2)
    for share in np.sort(rng.random(rng.integers(60, 240)) ** 1.4):
        radius, x = 0.006 + 0.03 * share, rng.uniform(0, size[0] / size[1])
        y, petals = horizon + 0.02 + (1 - horizon) * share, hsv(rng.choice(kinds), 0.75, 0.95)
        pen.ellipse(x, y, radius, radius * 0.75, shade(petals, rng.uniform(0.75, 1)))
        pen.ellipse(x, y, radius * 0.3, radius * 0.2, (0.95, 0.8, 0.2))
    return pen.over(picture)


def night_city(rng: Rng, size: Size) -> Array:
    """Towers with lit windows under a dark sky, mirrored in a river."""
    shore, hue, ratio = rng.uniform(0.65, 0.85), rng.uniform(0.58, 0.78), size[0] / size[1]
    low = hsv(hue + 0.1, 0.6, rng.uniform(0.2, 0.5))
    sky = _sky(rng, size, hsv(hue, 0.8, 0.08), low, shore, 0)
    stars = rng.random(size[::-1], dtype=np.float32) > 0.998
    pen, moon = Pen(size, size[1]), rng.uniform(0.02, 0.05)
    pen.ellipse(rng.uniform(0, ratio), rng.uniform(0.05, 0.3), moon, moon, (1, 0.97, 0.88))
    for row in range(3):
        x = -rng.uniform(0, 0.2)
        while x < ratio:
            half, tall = rng.uniform(0.06, 0.15), rng.uniform(0.12, 0.65 - 0.14 * row)
            pen.box(x + half, shore - tall / 2, half, tall / 2, hsv(hue, 0.5, 0.2 - 0.05 * row))
            lamp, pitch = hsv(rng.choice([0.1, 0.14, 0.55]), 0.5, 1), rng.uniform(0.025, 0.05)
            for y in np.arange(shore - tall + pitch, shore - pitch, pitch * 1.2):
                for window in np.arange(x + pitch, x + 2 * half - pitch / 2, pitch):
                    if rng.random() < 0.45:
                        pen.box(window, y, pitch * 0.25, pitch * 0.35, lamp)
            x += 2 * half + rng.uniform(-0.03, 0.08)
    picture = pen.over(sky + stars[..., None] * np.float32(0.7))
    edge = int(shore * size[1])
    mirror = picture[np.clip(2 * edge - np.arange(edge, size[1]), 0, edge - 1)] * np.float32(0.6)
    for row, shift in enumerate(rng.normal(0, 0.012 * size[0], len(mirror)).astype(int)):
        mirror[row] = np.roll(mirror[row], shift, axis=0)
    picture = np.concatenate([picture[:edge], mirror])
    return picture + 0.5 * soften(soften(picture, size[1] * 0.03), size[1] * 0.03)


def sea(rng: Rng, size: Size) -> Array:
    """Open water to the horizon under a sun, its glitter on the waves."""
    horizon, evening, swell = rng.uniform(0.3, 0.65), rng.random(), rng.uniform(0.5, 1.4)
    warm = hsv(0.1 - 0.06 * evening, 0.1 + 0.5 * evening, 1)
    top = hsv(0.57 + 0.15 * evening, 0.6, 0.95 - 0.45 * evening)
    sky = _sky(rng, size, top, warm, horizon, rng.uniform(0, 0.5))
    across = np.abs(np.arange(size[0]) / size[1] - rng.uniform(0.1, 0.9) * size[0] / size[1])
    glow = np.exp(-np.hypot(across, _down(size) - horizon + rng.uniform(0.03, 0.28)) / 0.1)
    depth = np.clip((_down(size) - horizon) / (1 - horizon), 0, 1)
    far, close = (noise(rng, size, swell * wide, 0.16 * swell * wide, 4) for wide in (0.15, 1))
    waves = far + (close - far) * depth
    deep = hsv(rng.uniform(0.47, 0.62), rng.uniform(0.5, 0.85), 0.5 - 0.25 * evening)
    water = blend(deep, warm, np.clip(0.75 * (1 - depth) ** 3 + waves - 0.45, 0, 0.8))
    path = np.exp(-((across / (0.04 + 0.16 * depth)) ** 2))
    water = blend(water, (1, 0.95, 0.8), step(0.5, 0.62, waves) * path)
    return blend(sky + glow[..., None] * (1, 0.85, 0.6), water, _below(size, horizon))


def forest(rng: Rng, size: Size) -> Array:
    """Rows of firs, paler and bluer the farther away, in mist."""
    hue, mist, layers = rng.uniform(0.2, 0.45), rng.uniform(0.65, 0.97), rng.integers(3, 6)
    pale = hsv(hue + 0.1, 0.12, mist)
    picture = _sky(rng, size, hsv(hue + 0.15, 0.2, mist), pale, 1, rng.uniform(0, 0.5))
    for near in np.linspace(1 / layers, 1, layers):
        foot = _ridge(rng, size, 0.4 + 0.58 * near, 0.14, 1)
        pen, tall = Pen(size, size[1]), 0.16 + 0.45 * near**1.5
        dark = hsv(hue, 0.2 + 0.45 * near, mist * (0.8 - 0.62 * near))
        for x in np.arange(0, size[0] / size[1], tall * rng.uniform(0.2, 0.4)):
            low, high = foot[int(x * size[1])] + 0.02, tall * rng.uniform(0.65, 1.2)
            _fir(pen, x, low, high, shade(dark, rng.normal(1, 0.15)))
        picture = pen.over(blend(picture, pale, 0.35 * _below(size, foot - 0.12)))
        ground = np.multiply(dark, (0.7 + 0.6 * noise(rng, size, 0.15, 0.04, 3))[..., None])
        picture = blend(picture, ground, _below(size, foot))
    return picture


def snow(rng: Rng, size: Size) -> Array:
    """Mountains in snow, lit from one side, firs in front."""
    top = hsv(rng.uniform(0.54, 0.64), rng.uniform(0.3, 0.85), rng.uniform(0.5, 0.95))
    picture = _sky(rng, size, top, hsv(0.56, 0.15, 0.97), 0.65, rng.uniform(0, 0.5))
    light = rng.choice([-1, 1]) * rng.uniform(0.4, 1) * size[1]
    for near in (0.0, 0.5, 1.0):
        skyline = _ridge(rng, size, 0.4 + 0.25 * near, 0.55 - 0.4 * near, 0.9 + 0.6 * near)
        relief = noise(rng, size, 0.6, 0.8, 5) * (0.6 - 0.45 * near) + skyline
        lit = step(-1.5, 1.5, np.gradient(relief, axis=1) * light)
        bare = step(0.5, 0.62, noise(rng, size, 0.25, 0.4, 4)) * 0.85 * (near < 1)
        bare = bare * step(0.02, 0.2, _down(size) - skyline)
        rock = blend((0.2, 0.22, 0.27), (0.5, 0.47, 0.44), lit)
        hill = blend(blend(hsv(0.61, 0.4 - 0.2 * near, 0.68), (1, 1, 1), lit), rock, bare)
        picture = blend(picture, hill, _below(size, skyline))
    pen = Pen(size, size[1])
    for x in rng.uniform(0, size[0] / size[1], rng.integers(0, 14)):
        foot, green = skyline[int(x * size[1])] + rng.uniform(0.02, 0.25), rng.uniform(0.15, 0.3)
        _fir(pen, x, min(foot, 1), rng.uniform(0.08, 0.25), hsv(0.4, 0.35, green))
    return pen.over(picture)


PAINTERS: Final[dict[str, Painter]] = {
    "été": summer,
    "night city": night_city,
    "sea": sea,
    "forest": forest,
    "snow & sky": snow,
}

"""A few classes of places: composed pictures with a horizon, between texture and object."""

from __future__ import annotations

from collections.abc import Callable
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
    rgb,
    step,
    to_array,
    to_image,
)


def _sky(size: Size, top: Colour, bottom: Colour, horizon: float) -> Array:
    """From ``top`` to ``bottom`` at ``horizon`` pixels below the upper edge."""
    y = np.broadcast_to(np.arange(size[1], dtype=np.float32)[:, None] / horizon, size[::-1])
    return blend(top, bottom, np.clip(y, 0, 1))


def _clouds(rng: np.random.Generator, sky: Array, horizon: float, cover: float) -> Array:
    height, width = sky.shape[:2]
    size = width, height
    cell = rng.uniform(180, 340)
    field = noise(rng, size, (cell, cell / 2.2), 5)
    shade = step(-0.25, 0.1, field - noise(rng, size, (cell, cell / 2.2), 2))
    lit = 0.55 + 0.45 * sky[min(round(horizon), height - 1), 0]  # as the air near the horizon
    puff = step(1 - cover, 1.25 - cover, field) * (plane(size)[1] + height / 2 < horizon)
    return blend(sky, blend(lit * (0.74, 0.77, 0.84), lit, shade), 0.92 * puff)


def _glow(size: Size, centre: tuple[float, float], radius: float) -> Array:
    x, y = plane(size)
    distance = np.hypot(x + size[0] / 2 - centre[0], y + size[1] / 2 - centre[1])
    return np.asarray(np.exp(-distance / radius), dtype=np.float32)


def _ridge(rng: np.random.Generator, size: Size, level: float, swing: float, cell: float) -> Array:
    """Heights ``[width]``, in pixels below the upper edge, of a skyline around ``level``."""
    heights: Array = level + swing * (2 * noise(rng, (size[0], 1), (cell, 1), 5)[0] - 1)
    return heights


def _below(size: Size, skyline: Array) -> Array:
    """1 under the skyline ``[width]``, 0 above it."""
    y = np.arange(size[1], dtype=np.float32)[:, None]
    share: Array = np.clip(y - skyline[None] + 0.5, 0, 1)
    return share


def _fir(draw: ImageDraw.ImageDraw, x: float, foot: float, height: float, colour: Colour) -> None:
    """A fir of five overlapping storeys, its trunk ending at ``(x, foot)``."""
    draw.rectangle((x - height / 40, foot - height / 6, x + height / 40, foot), ink(colour))
    for storey in range(5):
        top = foot - height * (1 - 0.15 * storey)
        half = height * (0.07 + 0.045 * storey)
        low = top + height * 0.28
        corners = [(x, top), (x + half, low), (x, low - height * 0.05), (x - half, low)]
        draw.polygon(corners, ink(colour))


def sea(rng: np.random.Generator, size: Size) -> Array:
    """Open water to the horizon under a low sun, its glitter on the waves."""
    width, height = size
    horizon = height * rng.uniform(0.35, 0.6)
    evening = rng.random()
    warm = hsv(0.1 - 0.06 * evening, 0.25 + 0.4 * evening, 1)
    sky = _sky(size, hsv(0.58 + 0.12 * evening, 0.55, 0.9 - 0.4 * evening), warm, horizon)
    sun = width * rng.uniform(0.15, 0.85), horizon - height * rng.uniform(0.04, 0.25)
    sky = _clouds(rng, sky, horizon, rng.uniform(0.1, 0.45))
    sky = sky + _glow(size, sun, width * 0.09)[..., None] * rgb((1, 0.85, 0.6))
    y = plane(size)[1] + height / 2
    depth = np.clip((y - horizon) / (height - horizon), 0, 1)
    far, near = (noise(rng, size, cell, 3) for cell in ((60, 7), (190, 34)))
    waves = (1 - depth) * far + depth * near
    deep = hsv(rng.uniform(0.5, 0.6), rng.uniform(0.55, 0.85), 0.45 - 0.2 * evening)
    water = blend(deep, warm, np.clip(0.75 * (1 - depth) ** 3 + 0.9 * (waves - 0.45), 0, 0.8))
    across = np.abs(plane(size)[0] + width / 2 - sun[0]) / (width * (0.03 + 0.13 * depth))
    glitter = step(0.5, 0.62, waves) * np.exp(-(across**2))
    return blend(sky, blend(water, (1, 0.95, 0.8), glitter), step(-1, 1, y - horizon))


def night_city(rng: np.random.Generator, size: Size) -> Array:
    """Towers with lit windows against a dark sky with a moon, mirrored in a river."""
    width, height = size
    shore = round(height * rng.uniform(0.7, 0.82))
    hue = rng.uniform(0.6, 0.76)
    sky = _sky(size, hsv(hue, 0.8, 0.08), hsv(hue + 0.1, 0.6, rng.uniform(0.25, 0.45)), shore)
    stars = rng.random(size[::-1], dtype=np.float32) > 0.9985
    sky = np.where(stars[..., None], rng.uniform(0.5, 1, (*size[::-1], 1)), sky).astype(np.float32)
    moon = width * rng.uniform(0.1, 0.9), height * rng.uniform(0.08, 0.3)
    sky = sky + 0.5 * _glow(size, moon, width * 0.05)[..., None]
    image = to_image(sky)
    draw = ImageDraw.Draw(image)
    draw.circle(moon, width * rng.uniform(0.025, 0.05), (250, 245, 225))
    for row in range(3):
        left = -rng.uniform(0, 80)
        while left < width:
            across = rng.uniform(50, 120)
            top = shore - height * rng.uniform(0.12, 0.62 - 0.14 * row)
            _tower(rng, draw, (left, top, left + across, shore), hsv(hue, 0.5, 0.2 - 0.06 * row))
            left += across + rng.uniform(-15, 40)
    picture = to_array(image)
    mirror = picture[:shore][::-1][: height - shore]
    ripple = (rng.normal(0, 5, len(mirror)) + np.arange(width)[:, None]).T.astype(int) % width
    water = 0.62 * np.take_along_axis(mirror, ripple[..., None], axis=1)
    picture = np.concatenate([picture[:shore], water + rgb((0, 0.01, 0.04))])
    halo = to_image(picture).reduce(4).filter(ImageFilter.GaussianBlur(2.2))
    return picture + 0.5 * to_array(halo.resize(size, Image.Resampling.BILINEAR))


def _tower(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    wall: Colour,
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, ink(wall))
    pitch, lit = rng.uniform(11, 18), rng.uniform(0.2, 0.65)
    lamp = hsv(float(rng.choice([0.12, 0.1, 0.14, 0.55])), rng.uniform(0.2, 0.65), 1)
    for y in np.arange(top + 8, bottom - 10, pitch * 1.25):
        for x in np.arange(left + 7, right - 9, pitch):
            if rng.random() < lit:
                draw.rectangle((x, y, x + pitch * 0.5, y + pitch * 0.7), ink(lamp))


def forest(rng: np.random.Generator, size: Size) -> Array:
    """Rows of firs, paler and bluer the farther away, in mist."""
    width, height = size
    hue, mist = rng.uniform(0.24, 0.42), rng.uniform(0.72, 0.95)
    pale = hsv(hue + 0.1, 0.12, mist)
    picture = _sky(size, hsv(hue + 0.15, 0.2, mist * 0.95), pale, height)
    layers = int(rng.integers(4, 7))
    for layer in range(layers):
        near = (layer + 1) / layers
        foot = _ridge(rng, size, height * (0.42 + 0.56 * near), height * 0.07, 500)
        image = to_image(blend(picture, pale, 0.35 * _below(size, foot - height * 0.12)))
        draw = ImageDraw.Draw(image)
        tall = height * (0.16 + 0.42 * near**1.5)
        dark = hsv(hue, 0.2 + 0.45 * near, mist * (0.8 - 0.62 * near))
        for x in np.arange(-20, width + 20, tall * rng.uniform(0.16, 0.3)):
            at = float(np.clip(x + rng.normal(0, tall * 0.06), 0, width - 1))
            shade = float(rng.normal(1, 0.12))
            colour = (dark[0] * shade, dark[1] * shade, dark[2] * shade)
            _fir(draw, at, foot[int(at)] + 8, tall * rng.uniform(0.65, 1.2), colour)
        ground = rgb(dark) * (0.7 + 0.6 * noise(rng, size, (40, 12), 3))[..., None]
        picture = blend(to_array(image), ground, _below(size, foot))
    return picture


def snow_and_sky(rng: np.random.Generator, size: Size) -> Array:
    """Mountains in snow, lit from one side, under a clear or clouded blue sky."""
    width, height = size
    top, bottom = hsv(0.59, rng.uniform(0.6, 0.85), rng.uniform(0.5, 0.85)), hsv(0.56, 0.2, 0.97)
    picture = _sky(size, top, bottom, height * 0.65)
    picture = _clouds(rng, picture, height * 0.6, rng.uniform(0.0, 0.4))
    light = 1.5 if rng.random() < 0.5 else -1.5
    for near in (0.0, 0.5, 1.0):
        level = height * (0.42 + 0.2 * near + rng.uniform(-0.05, 0.05))
        skyline = _ridge(rng, size, level, height * (0.32 - 0.2 * near), 260 + 160 * near)
        peaks = np.abs(_ridge(rng, size, 0, height * 0.45, 300))
        skyline = skyline + (1 - near) * (peaks - height * 0.12)
        relief = noise(rng, size, (150, 200), 5) * (170 - 135 * near) + skyline[None]
        lit = step(-2, 2, np.diff(relief, axis=1, append=relief[:, -1:]) * light)
        hill = blend(hsv(0.61, 0.35 - 0.2 * near, 0.72), (1, 1, 1), lit)
        if near < 1:
            depth = plane(size)[1] + height / 2 - skyline[None]
            steep = step(0.5, 0.6, noise(rng, size, (60, 90), 4) - 0.2 * near)
            stone = blend(hsv(0.62, 0.2, 0.25), hsv(0.08, 0.12, 0.5), lit)
            hill = blend(hill, stone, 0.85 * steep * step(6, 60, depth))
        hill = hill + (rgb(bottom) - hill) * (0.4 - 0.4 * near)  # the air between
        picture = blend(picture, hill, _below(size, skyline))
    image = to_image(picture)
    draw = ImageDraw.Draw(image)
    for x in rng.uniform(0, width, int(rng.integers(3, 14))):
        foot = min(float(skyline[int(x)]) + height * rng.uniform(0.02, 0.25), height * 0.99)
        _fir(draw, x, foot, height * rng.uniform(0.08, 0.2), hsv(0.4, 0.35, 0.22))
    return to_array(image)


def summer(rng: np.random.Generator, size: Size) -> Array:
    """A meadow in flower that shrinks towards hills, under white clouds."""
    width, height = size
    horizon = height * rng.uniform(0.32, 0.55)
    sky = _sky(size, hsv(0.57, rng.uniform(0.45, 0.7), 0.95), hsv(0.53, 0.15, 1), horizon)
    picture = _clouds(rng, sky, horizon, rng.uniform(0.3, 0.6))
    hue = rng.uniform(0.16, 0.26)
    for near in (0.0, 0.5):
        hills = _ridge(rng, size, horizon - 12 + 20 * near, height * 0.05, 420)
        picture = blend(picture, hsv(hue + 0.12 - 0.06 * near, 0.45, 0.55), _below(size, hills))
    y = plane(size)[1] + height / 2
    depth = np.clip((y - horizon) / (height - horizon), 0, 1)
    blades = (1 - depth) * noise(rng, size, (14, 8), 2) + depth * noise(rng, size, (9, 60), 3)
    grass = blend(hsv(hue + 0.06, 0.8, 0.32), hsv(hue, 0.65, 0.86), step(0.2, 0.8, blades))
    picture = blend(picture, grass, step(0, 14, y - horizon - 8 * noise(rng, size, 60)))
    image = to_image(picture)
    draw = ImageDraw.Draw(image)
    petals = ((0.0, 0.85, 0.9), (0.14, 0.85, 1.0), (0.0, 0.0, 1.0), (0.72, 0.5, 0.85))
    kinds = rng.choice(petals, 2, replace=False, p=(0.5, 0.2, 0.15, 0.15))
    for share in np.sort(rng.random(int(rng.integers(200, 500))) ** 1.4):
        radius = 2 + 15 * share
        x, at = rng.uniform(0, width), horizon + 14 + (height - horizon) * share
        hue, saturation, value = kinds[int(rng.random() < 0.3)]
        colour = hsv(hue + rng.normal(0, 0.012), saturation, value * rng.uniform(0.75, 1))
        flat, eye = radius * rng.uniform(0.55, 0.9), radius * 0.3
        draw.ellipse((x - radius, at - flat, x + radius, at + flat), ink(colour))
        draw.ellipse((x - eye, at - eye, x + eye, at + eye * 0.6), (77, 58, 15))
    return to_array(image)


PAINTERS: Final[dict[str, Callable[[np.random.Generator, Size], Array]]] = {
    "été": summer,
    "night city": night_city,
    "sea": sea,
    "snow & sky": snow_and_sky,
    "forest": forest,
}

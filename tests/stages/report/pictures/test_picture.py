"""Tiles of several pictures, put into place in any order, encoded and decoded again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from kdsspark.report.gallery.sprites import GAP
from kdsspark.stages.report.pictures.picture import PictureFile, Pictures

SIDE = 32
SHADES = {0: 40, 2: 200, 4: 120}  # tile -> its grey; the others could not be cut


@pytest.mark.parametrize("in_rows", [False, True])
def test_every_tile_is_at_its_place_whatever_the_order(in_rows: bool) -> None:
    picture = PictureFile("p.webp", 5, SIDE, in_rows)
    orders = [list(SHADES.items()), list(SHADES.items())[::-1]]
    contents = []
    for order in orders:
        pictures = Pictures()
        for n, shade in order:
            pictures.put((picture, n), Image.new("RGB", (SIDE, SIDE), (shade,) * 3))
        (found,) = pictures.files().items()
        assert found[0] == "p.webp"
        contents.append(found[1])
    assert contents[0] == contents[1]
    pixels = np.asarray(Image.open(io.BytesIO(contents[0])), int)
    step = SIDE + GAP if in_rows else SIDE
    middles = [
        pixels[y * step + SIDE // 2, x * step + SIDE // 2].mean()
        for y, x in (divmod(n, 3) if in_rows else (0, n) for n in range(5))
    ]
    missing = 233  # light grey
    np.testing.assert_allclose(middles, [SHADES.get(n, missing) for n in range(5)], atol=6)


def test_tiles_of_several_pictures_come_in_turns() -> None:
    pictures = Pictures()
    assert pictures.files() == {}
    files = [PictureFile(f"{name}.webp", 2, SIDE, in_rows=False) for name in "ab"]
    for n in range(2):
        for file, shade in zip(files, (30, 220), strict=True):
            pictures.put((file, n), Image.new("RGB", (SIDE, SIDE), (shade,) * 3))
    found = pictures.files()
    assert list(found) == ["a.webp", "b.webp"]
    for content, shade in zip(found.values(), (30, 220), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(content)), int)
        assert pixels.shape == (SIDE, 2 * SIDE, 3)
        np.testing.assert_allclose(pixels.mean(), shade, atol=6)

"""Tiles cut by several tasks, encoded as one file and decoded again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from kdsspark.report.gallery import sprites
from kdsspark.stages.report.pictures.picture import PictureFile, Pictures

SIDE = 32
SHADES = {0: 40, 2: 200, 4: 120}  # tile -> its grey; the others could not be cut


@pytest.mark.parametrize("in_rows", [False, True])
def test_every_tile_is_at_its_place_whatever_the_order(in_rows: bool) -> None:
    picture = PictureFile("p.webp", 5, SIDE, in_rows)
    tiles = [(n, Image.new("RGB", (SIDE, SIDE), (shade,) * 3)) for n, shade in SHADES.items()]
    content, backwards = (_content(picture, order) for order in (tiles, tiles[::-1]))
    assert content == backwards
    pixels = np.asarray(Image.open(io.BytesIO(content)), int)
    step = SIDE + sprites.GAP if in_rows else SIDE
    middles = [
        pixels[y * step + SIDE // 2, x * step + SIDE // 2].mean()
        for y, x in (divmod(n, 3) if in_rows else (0, n) for n in range(5))
    ]
    missing = 233  # light grey
    expected = [SHADES.get(n, missing) for n in range(5)]
    np.testing.assert_allclose(middles, expected, atol=6)


def _content(picture: PictureFile, tiles: list[tuple[int, Image.Image]]) -> bytes:
    made = Pictures()
    for n, tile in tiles:
        made.put((picture, n), tile)
    (content,) = made.files().values()
    return content

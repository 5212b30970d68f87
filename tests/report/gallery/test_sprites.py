"""Pictures side by side, decoded again."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from kdsspark.report.gallery.sprites import GAP, Sprites

SIDE = 32
TILES = [
    np.full((SIDE, SIDE, 3), shade, np.uint8)
    for shade in np.random.default_rng(0).integers(0, 256, (7, 3))
]
LOSS = 12  # of a plain colour, by compression


def decoded(tiles: Sequence[np.ndarray | None], in_rows: bool) -> np.ndarray:
    sprites = Sprites(len(tiles), SIDE, in_rows)
    for n, tile in enumerate(tiles):
        if tile is not None:
            sprites.put(n, Image.fromarray(tile))
    image = Image.open(io.BytesIO(sprites.encoded()))
    assert (image.format, image.mode) == ("WEBP", "RGB")
    return np.asarray(image, int)


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the middles have the same colour: at the edges, colours run."""
    middle = slice(10, -10)
    colours = (pixels[middle, middle].mean(axis=(0, 1)) for pixels in (one, other))
    return bool(np.allclose(*colours, atol=LOSS))


def test_a_strip_has_its_tiles_side_by_side() -> None:
    found = decoded(TILES, in_rows=False)
    assert found.shape == (SIDE, 7 * SIDE, 3)
    for n, tile in enumerate(TILES):
        assert near(found[:, n * SIDE : (n + 1) * SIDE], tile), n


@pytest.mark.parametrize(("n", "rows"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_sheet_has_rows_with_gaps(n: int, rows: int) -> None:
    step = SIDE + GAP
    found = decoded(TILES[:n], in_rows=True)
    assert found.shape == (rows * step - GAP, 3 * step - GAP, 3)
    for i, tile in enumerate(TILES[:n]):
        y, x = i // 3 * step, i % 3 * step
        assert near(found[y : y + SIDE, x : x + SIDE], tile), i
    for i in range(n, 3 * rows):
        y, x = i // 3 * step, i % 3 * step
        assert near(found[y : y + SIDE, x : x + SIDE], np.full_like(TILES[0], 255)), i


def test_what_cannot_be_read_is_grey() -> None:
    found = decoded([TILES[0], None, TILES[1]], in_rows=False)
    grey = found[10:-10, SIDE + 10 : 2 * SIDE - 10]
    assert (np.ptp(grey, axis=2) <= LOSS).all()
    assert 200 < grey.mean() < 250
    assert near(found[:, 2 * SIDE :], TILES[1])

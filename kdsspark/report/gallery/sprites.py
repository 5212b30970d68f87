"""Small pictures side by side in one file (Pillow)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Tile = npt.NDArray[np.uint8]
"""[side, side, 3]"""

QUALITY: Final = 73
_METHOD: Final = 2  # half the time of the default, 4, for 4 % more bytes
COLUMNS: Final = 3
GAP: Final = 2
"""Pixels between the tiles of a sheet."""

_EMPTY: Final = 233  # grey, for a picture that cannot be read


def strip(tiles: Sequence[Tile | None], side: int) -> bytes:
    """Tiles in a row, without gaps, as WebP: a page shows them one by one, by their position."""
    return _encoded(np.concatenate([_tile(tile, side) for tile in tiles], axis=1))


def sheet(tiles: Sequence[Tile | None], side: int) -> bytes:
    """Tiles in rows of three, with gaps, as WebP."""
    rows = -(-len(tiles) // COLUMNS)
    step = side + GAP
    canvas = np.full((rows * step - GAP, COLUMNS * step - GAP, 3), 255, np.uint8)
    for n, tile in enumerate(tiles):
        y, x = n // COLUMNS * step, n % COLUMNS * step
        canvas[y : y + side, x : x + side] = _tile(tile, side)
    return _encoded(canvas)


def _tile(tile: Tile | None, side: int) -> Tile:
    return np.full((side, side, 3), _EMPTY, np.uint8) if tile is None else tile


def _encoded(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=_METHOD)
    return buffer.getvalue()

"""A picture of the report: tiles that are cut out of several images, encoded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kdsspark.report.gallery import sprites


class PictureFile(NamedTuple):
    """A file of the report, and the tiles that it is made of."""

    path: str  # relative to the report
    n: int  # tiles
    side: int  # of a tile, in pixels
    in_rows: bool  # rows of three; else all side by side


Place = tuple[PictureFile, int]
"""A picture, and which of its tiles, from 0."""


def encoded(picture: PictureFile, tiles: Sequence[tuple[int, sprites.Tile]]) -> bytes:
    """The file of a picture (executor); a tile that is not among ``tiles`` is grey."""
    known = dict(tiles)
    draw = sprites.sheet if picture.in_rows else sprites.strip
    return draw([known.get(n) for n in range(picture.n)], picture.side)

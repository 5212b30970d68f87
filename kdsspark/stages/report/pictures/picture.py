"""A picture of the report: tiles that are cut out of several images, encoded together."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from kdsspark.report.gallery.sprites import Sprites


class PictureFile(NamedTuple):
    """A file of the report, and the tiles that it is made of."""

    path: str  # relative to the report
    n: int  # tiles
    side: int  # of a tile, in pixels
    in_rows: bool  # rows of three; else all side by side


Place = tuple[PictureFile, int]
"""A picture, and which of its tiles, from 0."""


class Pictures:
    """The pictures of a task, whose tiles come in any order (executor)."""

    def __init__(self) -> None:
        self._begun: dict[PictureFile, Sprites] = {}

    def put(self, place: Place, tile: Image.Image) -> None:
        """Put a tile into its picture."""
        picture, n = place
        if picture not in self._begun:
            self._begun[picture] = Sprites(*picture[1:])
        self._begun[picture].put(n, tile)

    def files(self) -> dict[str, bytes]:
        """The files by their paths, in which missing tiles are grey; none without any tile."""
        return {picture.path: sprites.encoded() for picture, sprites in self._begun.items()}

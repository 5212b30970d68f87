"""What an executor does for the pictures of the report: cut squares out of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from kdsspark.engine.work import task_cpus
from kdsspark.images import decoding
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Decode, Loader
from kdsspark.output.names import Pair
from kdsspark.stages.report.pictures.picture import PictureFile, Place

Tile = npt.NDArray[np.uint8]

_GAP: Final = 2.0  # a patch of more than four times the side is halved first, in half the time
_EDGE: Final = 228  # grey of what lies beyond the border of an image


class Square(NamedTuple):
    """A square to cut: what it is for, the box in the resized image, the side of the result.

    Without a box: the largest square in the middle.
    """

    places: tuple[Place, ...]
    box: tuple[int, int, int, int] | None
    side: int


Wanted = TypeVar("Wanted")


@dataclass(frozen=True)
class OfImage(Generic[Wanted]):
    """An image, and all that is made of it."""

    uri: str
    wanted: tuple[Wanted, ...]


Placed = tuple[PictureFile, tuple[int, Tile]]
"""A tile [side, side, 3], and its place in a picture."""


def placed(places: Sequence[Place], tile: Tile) -> Iterator[Placed]:
    """A tile at each of its places."""
    for picture, n in places:
        yield picture, (n, tile)


@dataclass(frozen=True)
class CutImages:
    """Cuts images whose short sides are resized as their network wants them (executor)."""

    decoders: Mapping[Pair, Decode]
    seconds: float  # for reading an image, and again for decoding it

    def __call__(self, task: tuple[Pair, Sequence[OfImage[Square]]]) -> Iterator[Placed]:
        """Tiles where they belong; what is cut out of an unreadable image is left out."""
        pair, jobs = task
        decode, threads = self.decoders[pair], max(2, task_cpus())
        loader = Loader(decoding.read, decode, threads, 2 * threads, self.seconds, Clock())
        with closing(loader(job.uri for job in jobs)) as loaded:
            for job, image in zip(jobs, loaded, strict=True):
                if isinstance(image.result, np.ndarray):
                    whole = Image.fromarray(image.result)
                    for one in job.wanted:
                        yield from placed(one.places, _cut(whole, one.box, one.side))


def cut(pixels: Tile, box: tuple[int, int, int, int] | None, side: int) -> Tile:
    """A box of an image [height, width, 3], made square about its middle, in ``side`` pixels.

    A box that the border of the image or crop has cut keeps its shape, beside grey.
    """
    return _cut(Image.fromarray(pixels), box, side)


def _cut(image: Image.Image, box: tuple[int, int, int, int] | None, side: int) -> Tile:
    if box is None:
        short = min(image.size)
        left, top = ((length - short) // 2 for length in image.size)
        box = left, top, left + short, top + short
    x0, y0, x1, y1 = box
    patch = image.crop((max(0, x0), max(0, y0), min(image.width, x1), min(image.height, y1)))
    longest = max(patch.size)
    width, height = (max(1, round(side * length / longest)) for length in patch.size)
    way = Image.Resampling.NEAREST if longest < side // 3 else Image.Resampling.BICUBIC
    resized = patch.resize((width, height), way, reducing_gap=_GAP)
    if resized.size == (side, side):
        return np.asarray(resized)
    canvas = Image.new("RGB", (side, side), (_EDGE,) * 3)
    canvas.paste(resized, ((side - width) // 2, (side - height) // 2))
    return np.asarray(canvas)

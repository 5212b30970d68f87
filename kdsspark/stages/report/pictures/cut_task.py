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
from kdsspark.stages.report.pictures.picture import Picture, Place

Tile = npt.NDArray[np.uint8]

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


Placed = tuple[Picture, tuple[int, Tile]]
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
                    for one in job.wanted:
                        yield from placed(one.places, cut(image.result, one.box, one.side))


def cut(pixels: npt.NDArray[np.uint8], box: tuple[int, int, int, int] | None, side: int) -> Tile:
    """A box of an image, made square about its middle and resized to ``side`` pixels.

    A box that the border of the image or crop has cut keeps its shape, beside grey.
    """
    height, width, _ = pixels.shape
    if box is None:
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        box = left, top, left + short, top + short
    x0, y0, x1, y1 = box
    patch = Image.fromarray(pixels[max(0, y0) : y1, max(0, x0) : x1])
    longest = max(patch.size)
    size = [max(1, round(side * length / longest)) for length in patch.size]
    way = Image.Resampling.NEAREST if longest < side // 3 else Image.Resampling.BICUBIC
    canvas = Image.new("RGB", (side, side), (_EDGE,) * 3)
    canvas.paste(
        patch.resize((size[0], size[1]), way), ((side - size[0]) // 2, (side - size[1]) // 2)
    )
    return np.asarray(canvas)

"""What an executor does for the pictures of the report: cut squares out of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

from PIL import Image

from kdsspark.engine.work import task_cpus
from kdsspark.images import decoding
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Loader
from kdsspark.output.names import Pair
from kdsspark.stages.report.pictures.picture import Pictures, Place

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1"""

_GAP: Final = 2.0  # a patch of more than four times the side is halved first, in half the time
_EDGE: Final = (228,) * 3  # grey of what lies beyond the border of an image


class Square(NamedTuple):
    """A square to cut: where it is shown, and the box in the resized image.

    Without a box: the largest square in the middle.
    """

    at: Place
    box: tuple[int, int, int, int] | None


Wanted = TypeVar("Wanted")


@dataclass(frozen=True)
class OfImage(Generic[Wanted]):
    """An image, and all that is made of it."""

    uri: str
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class CutImages:
    """Cuts boxes of resized images out of the images as they are stored (executor).

    ``short_sides``: the short side of the images as the network of a pair sees them, which the
    boxes refer to.
    """

    short_sides: Mapping[Pair, int]
    seconds: float  # for reading an image, and again for decoding it

    def __call__(self, pair: Pair, jobs: Sequence[OfImage[Square]]) -> Iterator[dict[str, bytes]]:
        """The files of pictures; what is cut out of an unreadable image is left out."""
        short, threads = self.short_sides[pair], max(2, task_cpus())
        decode = partial(decoding.picture, short_side=short)
        loader = Loader(decoding.read, decode, threads, 2 * threads, self.seconds, Clock())
        pictures = Pictures()
        with closing(loader(job.uri for job in jobs)) as loaded:
            for job, read in zip(jobs, loaded, strict=True):
                if isinstance(image := read.result, Image.Image):
                    scale = min(image.size) / short
                    for one in job.wanted:
                        pictures.put(one.at, cut(image, one.box, one.at[0].side, scale))
        yield pictures.files()


def cut(image: Image.Image, box: Box | None, side: int, scale: float = 1.0) -> Image.Image:
    """A box of an image, made square about its middle, in ``side`` pixels.

    ``scale``: pixels of the image for one of the box. A box that the border of the image or crop
    has cut keeps its shape, beside grey. Without a box: the largest square in the middle.
    """
    width, height = (length / scale for length in image.size)
    if box is None:
        x0, y0 = (max(0, own - other) / 2 for own, other in ((width, height), (height, width)))
        box = x0, y0, width - x0, height - y0
    x0, y0, x1, y1 = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
    longest = max(x1 - x0, y1 - y0)
    size = _whole(side * (x1 - x0) / longest, side * (y1 - y0) / longest)
    place = x0 * scale, y0 * scale, x1 * scale, y1 * scale
    if longest < side // 3:  # pixels of the resized image are seen one by one
        seen = image.resize(_whole(x1 - x0, y1 - y0), Image.Resampling.BILINEAR, place)
        resized = seen.resize(size, Image.Resampling.NEAREST)
    else:
        shrinks = longest * scale > side  # as sharp by Hamming's window as bicubic, and faster
        way = Image.Resampling.HAMMING if shrinks else Image.Resampling.BICUBIC
        resized = image.resize(size, way, place, reducing_gap=_GAP)
    if size == (side, side):
        return resized
    canvas = Image.new("RGB", (side, side), _EDGE)
    canvas.paste(resized, ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas


def _whole(width: float, height: float) -> tuple[int, int]:
    return max(1, round(width)), max(1, round(height))

"""What an executor does for the pictures of the report: project maxima of units to pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from kdsspark.engine import gpus
from kdsspark.engine.work import task_cpus
from kdsspark.images.clock import Clock
from kdsspark.output.names import Pair
from kdsspark.stages.embed import image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.report.pictures.cut_task import OfImage, cut
from kdsspark.stages.report.pictures.picture import Pictures, Place

_AT_ONCE: Final = 64  # projections in memory, 0.6 MB each for crops of 224 pixels
_SHARE: Final = 99.5  # percent of the absolute values that lie within the range of a picture


class Projected(NamedTuple):
    """A maximum to project: where it is shown, the unit and its place, and the patch.

    ``place`` is row and column of the unit's map, None where the layer has no map. ``view`` says
    which crop of the image has the maximum. ``box`` is the patch, x0, y0, x1, y1 in the resized
    image.
    """

    at: Place
    layer: str
    unit: int
    place: tuple[int, int] | None
    view: int
    box: tuple[int, int, int, int]


class _View(NamedTuple):
    """The crop of a maximum, and the patch in that crop."""

    wanted: Projected
    pixels: npt.NDArray[np.uint8]  # [size, size, 3], as the network sees them
    mirrored: bool
    box: tuple[int, int, int, int]  # in the crop, after a mirrored one is turned back


@dataclass(frozen=True)
class ProjectImages:
    """Projects maxima to the pixels of their patches (executor).

    ``jobs`` say how the images of each pair go through its network: those of the exemplars, because
    the numbers of the views are theirs.
    """

    jobs: Mapping[Pair, ImageJob]

    def __call__(
        self, pair: Pair, images: Sequence[OfImage[Projected]]
    ) -> Iterator[dict[str, bytes]]:
        """The files of pictures; what belongs to an unreadable image is left out.

        An image is read once. The maxima of a layer go through the network together, those of
        different images and units too.
        """
        job, pictures = self.jobs[pair], Pictures()
        waiting: dict[str, list[_View]] = {}
        try:
            for view in _views(job, images):
                views = waiting.setdefault(view.wanted.layer, [])
                views.append(view)
                if len(views) == _AT_ONCE:
                    _put(pictures, job, waiting.pop(view.wanted.layer))
            for views in waiting.values():
                _put(pictures, job, views)
        finally:
            gpus.release()
        yield pictures.files()


def _views(job: ImageJob, images: Sequence[OfImage[Projected]]) -> Iterator[_View]:
    """The crops of all maxima, image by image."""
    from kdsspark.network import crops  # torch, which the driver does without

    size = job.spec.preprocessing.crop
    uris = (image.uri for image in images)
    with image_job.decoder(job) as decode, job.load(uris, decode, task_cpus(), Clock()) as loaded:
        for image, read in zip(images, loaded, strict=True):
            if not isinstance(read.result, np.ndarray):
                continue
            height, width, _ = read.result.shape
            places = crops.places(job.spec.crops, height, width, size)
            for wanted in image.wanted:
                top, left, mirrored = places[wanted.view]
                seen = read.result[:, ::-1] if mirrored else read.result
                pixels = seen[top : top + size, left : left + size]
                left = width - left - size if mirrored else left  # in the image itself
                x0, y0, x1, y1 = wanted.box
                box = x0 - left, y0 - top, x1 - left, y1 - top
                yield _View(wanted, pixels, mirrored, box)


def _put(pictures: Pictures, job: ImageJob, views: Sequence[_View]) -> None:
    """Project maxima of one layer, and put the tiles into their pictures."""
    wanted = [view.wanted for view in views]
    places = [w.place for w in wanted if w.place is not None]
    projections = image_job.projector(job)(
        [view.pixels for view in views],
        wanted[0].layer,
        [w.unit for w in wanted],
        places or None,
    )
    for view, projection in zip(views, projections, strict=True):
        turned = projection[..., ::-1] if view.mirrored else projection
        pictures.put(view.wanted.at, tile(turned, view.box, view.wanted.at[0].side))


def tile(
    projection: npt.NDArray[np.float32], box: tuple[int, int, int, int], side: int
) -> Image.Image:
    """The picture of a projection as a square, with the edges that :func:`cut` gives the patch."""
    x0, y0, x1, y1 = box
    return cut(Image.fromarray(shown(projection, box)), (0, 0, x1 - x0, y1 - y0), side)


def shown(
    projection: npt.NDArray[np.float32], box: tuple[int, int, int, int]
) -> npt.NDArray[np.uint8]:
    """A box (x0, y0, x1, y1) of a projection [3, height, width] as uint8 [y1 - y0, x1 - x0, 3].

    0 is mid grey. The picture is stretched by the 99.5th percentile of its own absolute values;
    larger ones are cut off. If that is 0, the largest value is taken instead.
    """
    x0, y0, x1, y1 = box
    patch = projection[:, y0:y1, x0:x1].transpose(1, 2, 0)
    sizes = np.abs(patch)
    largest = np.percentile(sizes, _SHARE) or sizes.max() or 1.0
    return np.rint(127.5 + 127.5 * np.clip(patch / largest, -1, 1)).astype(np.uint8)

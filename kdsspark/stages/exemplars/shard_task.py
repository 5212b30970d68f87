"""What an executor does with one shard: rank its images by the maxima of every unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.images.clock import Clock
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import BEST, Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed import again, image_job
from kdsspark.stages.embed.again import Readable
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.stages.exemplars import patches, ranking
from kdsspark.stages.exemplars.ranking import PLACE, Ranking
from kdsspark.tables import EMBEDDINGS

_AT_ONCE: Final = 64  # images that are ranked together; their places take 28 bytes a unit and image


@dataclass(frozen=True, kw_only=True)
class LookThrough(WorkItem):
    """One shard to look through; ``size`` counts the images that are embedded."""

    shard: Shard | None = None  # None: ready-made embeddings, which have no images


@dataclass(frozen=True)
class FindExemplars:
    """Looks through shards; the networks travel once (executor)."""

    output: Output
    top: int
    jobs: Mapping[Pair, ImageJob]

    def __call__(self, item: LookThrough) -> Outcome:
        """Rank the images of one shard and write the ranking."""
        clock, pair = Clock(), item.name.pair
        if item.shard is None:
            found = of_embeddings(self.output, EMBEDDINGS.part(item.name.part, *pair), self.top)
        else:
            try:
                found = of_images(self.jobs[pair], item.shard, self.top, clock)
            finally:
                gpus.release()
        path = self.output.beside(BEST, pair, item.name.part)
        parquet.write(self.output, path, ranking.to_table(found), ranking.SCHEMA)
        return Outcome({"images": found.n, "failed": item.size - found.n}, clock.seconds)


def of_embeddings(output: Output, part: str, top: int) -> Ranking:
    """Rank the images of one file of ``embeddings`` by their values, which have no place."""
    return reduce(Ranking.merge, _of_rows(output, part, top))


def _of_rows(output: Output, part: str, top: int) -> Iterator[Ranking]:
    for group in parquet.row_groups(output, part):
        for start in range(0, len(group), _AT_ONCE):
            rows = group.slice(start, _AT_ONCE)
            layers = [flat_values(rows[f.name]) for f in rows.schema if pa.types.is_list(f.type)]
            values = np.concatenate([layer.reshape(len(rows), -1) for layer in layers], axis=1)
            nowhere = np.full((*values.shape, len(PLACE)), ranking.NONE, np.int32)
            ids, contents = (rows[name].to_pylist() for name in ("image_id", "content"))
            yield ranking.of_images(ids, contents, values, nowhere, top)


def of_images(job: ImageJob, shard: Shard, top: int, clock: Clock) -> Ranking:
    """Put the images of a shard through the network again, those that are embedded.

    What can no longer be read is left out, and counts as no image.
    """
    found = ranking.of_none(sum(layer.units for layer in job.spec.layers), top)
    with again.batches(job, shard, clock) as batches:
        for images in batches:
            with clock.time("compute"):
                found = reduce(Ranking.merge, _of_pixels(job, images, top), found)
    return found


def _of_pixels(job: ImageJob, images: Sequence[Readable], top: int) -> Iterator[Ranking]:
    """Rankings of some images at a time."""
    layers = image_job.extractor(job)([image.pixels for image in images])
    peaks = np.concatenate(list(layers.values()), axis=1)
    for start in range(0, len(images), _AT_ONCE):
        some, high = images[start : start + _AT_ONCE], peaks[start : start + _AT_ONCE]
        place = [_place(job.spec, *of) for of in zip(high, some, strict=True)]
        ids, contents = [image.id for image in some], [image.content for image in some]
        yield ranking.of_images(ids, contents, high[..., 0], np.stack(place), top)


def _place(
    spec: NetworkSpec, peaks: npt.NDArray[np.float32], image: Readable
) -> npt.NDArray[np.int32]:
    """Int32 [units, 7], the columns of ``PLACE``, from [units, 4] of one image."""
    from kdsspark.network import crops  # torch, which the driver does without

    fields = patches.of_network(spec)
    y, x, view = peaks[:, 1:].astype(np.int32).T
    height, width, _ = image.pixels.shape
    places = crops.places(spec.crops, height, width, fields.crop)
    boxes = patches.in_image(fields.boxes(y, x), view, places, width)
    return np.concatenate([np.stack([y, x, view], axis=-1), boxes], axis=1)

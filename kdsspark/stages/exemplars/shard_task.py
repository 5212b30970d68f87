"""What an executor does with one shard: rank its images by the maxima of every unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.engine import gpus
from kdsspark.engine.work import Outcome, WorkItem
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Pixels
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import BEST, Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed import image_job, shards
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards import Shard
from kdsspark.stages.exemplars import patches, ranking
from kdsspark.stages.exemplars.patches import Fields
from kdsspark.stages.exemplars.ranking import PLACE, Ranking
from kdsspark.tables import EMBEDDINGS

_AT_ONCE = 64  # images that are ranked together; their places take 28 bytes a unit and image


@dataclass(frozen=True, kw_only=True)
class LookThrough(WorkItem):
    """One shard to look through; without ``shard``, of ready-made embeddings."""

    output: Output
    pair: Pair
    top: int
    shard: Shard | None = None


@dataclass(frozen=True)
class FindExemplars:
    """Looks through shards; the networks travel once (executor)."""

    jobs: Mapping[Pair, ImageJob]

    def __call__(self, item: LookThrough) -> Outcome:
        """Rank the images of one shard and write the ranking."""
        clock = Clock()
        if item.shard is None:
            found, n_failed = of_embeddings(item), 0
        else:
            try:
                found, n_failed = of_images(self.jobs[item.pair], item.shard, item.top, clock)
            finally:
                gpus.release()
        path = item.output.beside(BEST, item.pair, item.name.part)
        parquet.write(item.output, path, ranking.to_table(found), ranking.SCHEMA)
        return Outcome({"images": item.size - n_failed, "failed": n_failed}, clock.seconds)


def of_embeddings(item: LookThrough) -> Ranking:
    """Rank the images of a shard by their values, which have no place."""
    part = EMBEDDINGS.part(item.name.part, *item.pair)
    found = None
    for rows in parquet.row_groups(item.output, part):
        layers = [flat_values(rows[f.name]) for f in rows.schema if pa.types.is_list(f.type)]
        values = np.concatenate([layer.reshape(len(rows), -1) for layer in layers], axis=1)
        place = np.full((*values.shape, len(PLACE)), -1, np.int32)
        ids, contents = (rows[name].to_pylist() for name in ("image_id", "content"))
        here = ranking.of_images(ids, contents, values.astype(np.float32), place, item.top)
        found = found.merge(here) if found else here
    assert found is not None, "a shard with embeddings has rows"
    return found


def of_images(job: ImageJob, shard: Shard, top: int, clock: Clock) -> tuple[Ranking, int]:
    """Put a shard's images through the network again; returns also how many cannot be read."""
    uris = (rows := shards.planned_rows(job.output, shard))["uri"].to_pylist()
    ids = iter(rows["image_id"].to_pylist())
    _, call = image_job.batch_and_call(job)
    looking = _Looking(job, top)
    n_failed = 0
    with image_job.decoder(job) as decode, job.load(uris, decode, call, clock) as loaded:
        while some := list(islice(clock.until_next("wait", loaded), min(call, _AT_ONCE))):
            good = [
                (image_id, image.content, image.result)
                for image_id, image in zip(islice(ids, len(some)), some, strict=True)
                if isinstance(image.result, np.ndarray)
            ]
            n_failed += len(some) - len(good)
            with clock.time("compute"):
                looking.add(good)
    return looking.found, n_failed


class _Looking:
    """The ranking so far."""

    def __init__(self, job: ImageJob, top: int) -> None:
        self._job, self._top = job, top
        self._fields: Fields | None = None
        n_units = sum(layer.units for layer in job.spec.layers)
        none = np.empty((0, n_units), np.float32)
        self.found = ranking.of_images(
            [], [], none, np.empty((0, n_units, len(PLACE)), np.int32), top
        )

    def add(self, images: Sequence[tuple[str, str | None, Pixels]]) -> None:
        """Rank some more images: id, hash of the content, and pixels of each."""
        if not images:
            return
        self._fields = self._fields or patches.of_network(self._job.spec)
        ids, contents, pixels = zip(*images, strict=True)
        peaks = np.concatenate(list(image_job.extractor(self._job)(pixels).values()), axis=1)
        place = np.stack([self._place(p, image) for p, image in zip(peaks, pixels, strict=True)])
        here = ranking.of_images(ids, contents, peaks[..., 0], place, self._top)
        self.found = self.found.merge(here)

    def _place(self, peaks: npt.NDArray[np.float32], image: Pixels) -> npt.NDArray[np.int32]:
        """Int32 [units, 7], the columns of ``PLACE``, from [units, 4] of one image."""
        from kdsspark.network import crops

        assert self._fields is not None
        y, x, view = peaks[:, 1:].astype(np.int32).T
        height, width, _ = image.shape
        size, kind = self._fields.crop, self._job.spec.crops
        boxes = patches.in_image(
            self._fields.boxes(y, x), view, crops.places(kind, height, width, size), width
        )
        return np.concatenate([np.stack([y, x, view], axis=-1), boxes], axis=1)

"""The images of shards that are embedded, read once more for what embeddings do not keep."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.stage import Context
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Pixels
from kdsspark.output import parquet
from kdsspark.output.names import ItemName, Pair
from kdsspark.stages.embed import image_job, networks
from kdsspark.stages.embed import stage as embed
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.sharding import split
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import EMBEDDINGS

# -- driver --------------------------------------------------------------------------------------


def image_jobs(context: Context, **changes: Any) -> dict[Pair, ImageJob]:
    """How the images of each dataset go through each network, whose spec has some ``changes``."""
    output, config = context.output, context.config
    jobs = {}
    for network in networks.prepare_networks(context):
        spec = replace(network.spec, **changes)
        for dataset in config.image_datasets:
            pair = Pair(spec.name, dataset.name)
            jobs[pair] = ImageJob(output, pair, spec, network.weights, config.embed)
    return jobs


def shards_to_read(
    context: Context, pair: Pair, stage: str, names: Collection[ItemName]
) -> Iterator[tuple[ItemName, Shard]]:
    """The shards of these names, whose rows are written for the tasks of ``stage``."""
    if not names:
        return
    output = context.output
    embedded = embed.plan(output, context.config, pair)
    assert isinstance(embedded, embed.EmbedPlan), "the dataset is embedded"
    wanted = (one for one in split(embedded.assigned) if pair.item(one[0].name) in names)
    for shard in shards.write_plan(output, output.plans(stage, pair), wanted):
        yield pair.item(shard.name), shard


# -- executor ------------------------------------------------------------------------------------


class Readable(NamedTuple):
    """An image that can be read."""

    id: str
    class_id: int
    content: str | None  # hash of its bytes
    pixels: Pixels


@contextmanager
def batches(job: ImageJob, shard: Shard, clock: Clock) -> Iterator[Iterator[list[Readable]]]:
    """The images of a shard, as many at a time as the extractor gets in a call.

    What can no longer be read is left out.
    """
    rows = _embedded(job, shard)
    _, call = image_job.batch_and_call(job)
    uris = rows["uri"].to_pylist()
    with image_job.decoder(job) as decode, job.load(uris, decode, call, clock) as loaded:
        named = zip(rows["image_id"].to_pylist(), rows["class_id"].to_pylist(), strict=True)
        images = (
            Readable(*names, image.content, image.result)
            for names, image in zip(named, clock.until_next("wait", loaded), strict=True)
            if isinstance(image.result, np.ndarray)
        )
        yield iter(lambda: list(islice(images, call)), [])


def _embedded(job: ImageJob, shard: Shard) -> pa.Table:
    """The planned rows without the images that failed, which might work by now."""
    rows = shards.planned_rows(job.output, shard)
    part = EMBEDDINGS.part(shard.name, *job.pair)
    embedded = parquet.read_file(job.output, part, ["image_id"])
    return rows.filter(pc.is_in(rows["image_id"], embedded["image_id"].combine_chunks()))

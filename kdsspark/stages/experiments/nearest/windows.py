"""The windows of images, put through the network: a file of features for each shard.

A row has the id and the class of an image, and for each layer one list of float32 with the features
of one window after the other. Images are decoded so large that the smallest window has as many
pixels as a crop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from kdsspark.config import Config
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context
from kdsspark.images.windows import WINDOWS, short_side, windows
from kdsspark.network.spec import Layer
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import pairs
from kdsspark.stages.embed import again, image_job, networks
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.experiments.spatial import reading
from kdsspark.stages.experiments.spatial.reading import FilesOfShards
from kdsspark.stages.experiments.spatial.shard_task import (
    Layers,
    See,
    ShardOfMaps,
    schema_of,
    write_seen,
)

# -- driver --------------------------------------------------------------------------------------


def layers_of(output: Output, config: Config, pair: Pair) -> dict[int, Layer]:
    """Depth -> layer, of those whose windows are wanted: none of networks without images.

    Raises :class:`DatasetError` if ``experiments.layers`` names layers of other networks only.
    """
    experiments = config.experiments
    if not experiments.windows or not pairs.goes_through_a_network(config, pair):
        return {}
    layers = dict(enumerate(networks.saved_networks(output, config)[pair.network].layers))
    if experiments.layers is None:
        return dict([max(layers.items())])
    return reading.named_layers(config, pair, layers)


def read(context: Context, files: FilesOfShards, todo: Sequence[Pair]) -> None:
    """Write the windows of the shards of these pairs that lack them."""
    output, config = context.output, context.config
    wanted = {
        pair: tuple(layer.name for layer in layers_of(output, config, pair).values())
        for pair in todo
    }

    def task() -> WriteWindows:
        jobs = again.image_jobs(context, crops="center")
        large = {pair: _of_large_images(job) for pair, job in jobs.items() if pair in wanted}
        return WriteWindows(output, files.folder, wanted, large)

    files.read(context, wanted, task)


def _of_large_images(job: ImageJob) -> ImageJob:
    found = job.spec.preprocessing
    larger = found.model_copy(update={"resize": short_side(found.crop)})
    return replace(job, spec=replace(job.spec, preprocessing=larger))


# -- executor ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WriteWindows:
    """Writes the windows of shards; the networks travel once."""

    output: Output
    folder: str  # of internal files
    layers: Mapping[Pair, tuple[str, ...]]  # that are wanted
    jobs: Mapping[Pair, ImageJob]

    def __call__(self, item: ShardOfMaps) -> Outcome:
        """Write the windows of one shard; images that can no longer be read are left out."""
        job = self.jobs[item.name.pair]
        columns = {name: (name, slice(None)) for name in self.layers[job.pair]}
        path = self.output.beside(self.folder, job.pair, item.name.part)
        return write_seen(item, job, path, seeing, columns, schema_of(columns, {}))


def seeing(job: ImageJob) -> See:
    """What makes the features of windows of images: layer -> float32 [images, windows, units]."""
    extractor, found = image_job.extractor(job), job.spec.preprocessing
    _, call = image_job.batch_and_call(job)
    at_once = max(1, call // WINDOWS)

    def see(images: Sequence[npt.NDArray[Any]]) -> Layers:
        calls = []
        for start in range(0, len(images), at_once):
            cut = [
                windows(image, found.crop, found.interpolation)
                for image in images[start : start + at_once]
            ]
            calls.append(extractor(list(chain.from_iterable(cut))))
        return {
            layer: np.concatenate([one[layer] for one in calls]).reshape(len(images), WINDOWS, -1)
            for layer in calls[0]
        }

    return see

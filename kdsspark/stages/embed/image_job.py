"""What all tasks share that put the images of one dataset through one network (executor).

The embed stage makes embeddings this way, and the exemplars stage looks for the images that excite
each unit most.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import PIL

from kdsspark.config import Embed
from kdsspark.engine import gpus
from kdsspark.engine.work import earlier_attempts, task_cpus
from kdsspark.images import decoding, isolation
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Decode, Loaded, Loader
from kdsspark.images.properties import Properties
from kdsspark.network.spec import NetworkSpec
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed.shards import files as shard_files
from kdsspark.stages.embed.shards.files import ShardFiles
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import embeddings_schema

if TYPE_CHECKING:
    from kdsspark.network.extractor import Extractor
    from kdsspark.network.projections import Projector


_AT_ONCE: Final = 32  # images that are handed on at a time where there is no network


@dataclass(frozen=True)
class ImageJob:
    """What all shards of one network and dataset share."""

    output: Output
    pair: Pair
    spec: NetworkSpec
    weights: str  # file of the output
    settings: Embed
    contents: str = ""  # folder of the lists of what the output holds; empty: it holds nothing

    def group_rows(self, batch: int) -> int:
        """Rows of a row group; forward passes do not straddle two."""
        return shard_files.rows_of_group([layer.units for layer in self.spec.layers], 4, batch)

    def files(self, shard: Shard) -> ShardFiles:
        """Where a shard lies."""
        schema = embeddings_schema([layer.name for layer in self.spec.layers])
        return ShardFiles(self.output, self.pair, shard.name, schema)

    def load(
        self, uris: Iterable[str], decode: Decode | None, batch: int, clock: Clock
    ) -> AbstractContextManager[Iterator[Loaded]]:
        """Read images in threads, so many ahead that the next forward pass finds its own."""
        threads = self.settings.decode_threads or max(2, task_cpus())
        ahead = 2 * max(threads, batch)
        loader = Loader(decoding.read, decode, threads, ahead, self.settings.image_seconds, clock)
        return closing(loader(uris))


def decode_of(spec: NetworkSpec) -> Decode:
    """How a network's images are decoded and resized, or else what becomes of them at once."""
    if spec.is_pixels:
        return Properties()
    return decoding.Decoder(spec.preprocessing.resize, spec.preprocessing.interpolation)


def decoder(job: ImageJob) -> AbstractContextManager[Decode]:
    """How images are decoded: apart from this process once an attempt at the shard has failed.

    Perhaps one of its images made the decoder crash, which would end this attempt just so.
    """
    decode = decode_of(job.spec)
    return isolation.decoder(decode) if earlier_attempts() > 0 else nullcontext(decode)


def batch_and_call(job: ImageJob) -> tuple[int, int]:
    """Images of a forward pass, and images that the extractor gets in a call."""
    from kdsspark.network import batches  # torch, which the driver does without

    if job.spec.is_pixels:
        return _AT_ONCE, _AT_ONCE
    device = gpus.device()
    batch = job.settings.batch_images or batches.batch_images(job.spec, device)
    return batch, batches.call_images(batch, device, task_cpus())


def computed_on(batch: int) -> str:
    """What features are computed on, in passes of ``batch`` images: processor and libraries.

    Where it is equal, so are the features of equal bytes. Pillow decodes and resizes.
    """
    from kdsspark.network import devices

    return f"{devices.arithmetic(gpus.device(), batch)}, Pillow {PIL.__version__}"


def extractor(job: ImageJob) -> Extractor | Stacked:
    """The network, on the GPU of the task if it has one."""
    if job.spec.is_pixels:
        return Stacked(job.spec.layers[0].name, _AT_ONCE)
    from kdsspark.network.extractor import cached_extractor

    batch, device = job.settings.batch_images, gpus.device()
    return cached_extractor(job.spec, _local_weights(job), device, task_cpus(), batch)


@dataclass(frozen=True)
class Stacked:
    """Takes the place of an extractor where decoding has made the features (executor)."""

    layer: str
    batch: int

    def __call__(self, images: Sequence[npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
        """{layer: [images, units]}."""
        return {self.layer: np.stack(images)}


def projector(job: ImageJob) -> Projector:
    """The network that projects activations to pixels, on the GPU of the task if it has one."""
    from kdsspark.network.projections import cached_projector

    return cached_projector(job.spec, _local_weights(job), gpus.device())


def _local_weights(job: ImageJob) -> Path:
    """The weights as a file of this machine, fetched once per machine from other stores."""
    path = job.output.path(job.weights)
    if job.output.is_local:
        return Path(path)
    local = Path(tempfile.gettempdir()) / f"kdsspark-{os.getuid()}" / Path(job.weights).name
    if not local.exists():
        local.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            job.output.fs.open(path, "rb") as source,
            tempfile.NamedTemporaryFile(dir=local.parent, delete=False) as target,
        ):
            shutil.copyfileobj(source, target, 1 << 22)
        Path(target.name).replace(local)
    return local

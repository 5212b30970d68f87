"""How the experiments on chosen images run (driver), and what their tasks share (executor)."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context, Stage
from kdsspark.engine.work import run_items
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Decode
from kdsspark.network.occlusion import softmax
from kdsspark.network.spec import NetworkSpec
from kdsspark.output.names import Pair
from kdsspark.stages import pairs
from kdsspark.stages.embed import image_job, networks
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.experiments.chosen.classes import ClassLayer
from kdsspark.stages.experiments.chosen.images import ChosenImage

_log = logging.getLogger(__name__)

Crop = npt.NDArray[np.uint8]
"""What the network sees of an image: uint8 RGB [size, size, 3]."""

Maps = dict[str, npt.NDArray[np.float32]]
"""Layer -> its values at all places of its maps: [views, ...]."""

PICTURE: Final = 64  # pixels of a side of the small pictures of views


def run(
    context: Context,
    stage: Stage,
    plan: pairs.Planner,
    task: Callable[[Any], Outcome],
    chosen: Callable[[Config, Pair], bool],
) -> None:
    """Do what is not done; ``chosen`` says which pairs the configuration asks for.

    Of these, ready-made embeddings and pixels are left out, which a line says. Raises
    :class:`ConfigError` where nothing else is asked for, and what ``plan`` raises.
    """
    config, able = context.config, 0
    for pair in context.pairs:
        if pairs.goes_through_a_network(config, pair):
            able += chosen(config, pair)
        else:
            _log.warning("%s: %s has no images that go through a network", stage.name, pair)
    if not able:
        raise ConfigError(
            f"experiment {stage.name}: a dataset must have images that go through a network, "
            "got none"
        )
    items = pairs.planned(context, stage, plan)
    receipts = stage.receipts(context.output)
    spread: dict[str, Any] = {}
    if not receipts.finished({item.name: item.digest for item in items}):
        slots = gpus.slots(context.session.sparkContext)
        spread = {"spread": slots.spread, "at_once": slots.at_once}
    run_items(context.session, receipts, items, task, stage.counted, **spread)


def warn_without_classifier(context: Context, stage: Stage) -> None:
    """Say which networks have no classifier, so that their probabilities are empty."""
    config = context.config
    for name, spec in networks.saved_networks(context.output, config).items():
        layers = [layer.name for layer in spec.layers]
        if config.experiments.classifier not in layers and not spec.is_pixels:
            _log.warning(
                "%s: network %s has no probabilities, for experiments.classifier must be one of "
                "its layers (%s), got %s",
                *(stage.name, name, ", ".join(layers), config.experiments.classifier),
            )


# -- executor ------------------------------------------------------------------------------------


def load(job: ImageJob, image: ChosenImage, decode: Decode | None = None) -> Any:
    """What ``decode`` makes of an image; by default its resized pixels.

    Raises :class:`DatasetError` for an image that can no longer be read.
    """
    with (
        image_job.decoder(job) as default,
        job.load([image.uri], decode or default, 1, Clock()) as loaded,
    ):
        (found,) = loaded
    if isinstance(found.result, Exception):
        raise DatasetError(
            f"dataset {job.pair.dataset}: {image.uri} can no longer be read: {found.result}"
        )
    return found.result


def corner(spec: NetworkSpec, pixels: Crop) -> tuple[int, int]:
    """Top and left of the centre crop in the resized image."""
    from kdsspark.network import crops  # torch, which the driver does without

    height, width, _ = pixels.shape
    ((top, left, _),) = crops.places("center", height, width, spec.preprocessing.crop)
    return top, left


def crop(spec: NetworkSpec, pixels: Crop) -> Crop:
    """The centre crop of a resized image."""
    top, left = corner(spec, pixels)
    size = spec.preprocessing.crop
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def maps(job: ImageJob, crops: Sequence[Crop]) -> Iterator[Maps]:
    """The maps of all crops, as many at a time as memory has room for; pooling is ``whole``."""
    extract = image_job.extractor(job)
    assert not isinstance(extract, image_job.Stacked), "pixels have no network"
    step = extract.batch * extract.threads
    for start in range(0, len(crops), step):
        yield extract(crops[start : start + step])


def probabilities(
    spec: NetworkSpec, classifier: ClassLayer | None, found: Maps
) -> Sequence[npt.NDArray[np.float64] | None]:
    """Of each view the probabilities of the classes, by softmax; None without a classifier.

    What the classifier says is averaged over space before that.
    """
    if classifier is None:
        return [None] * len(next(iter(found.values())))
    (axis,) = (layer.axis for layer in spec.layers if layer.name == classifier.layer)
    values = np.moveaxis(found[classifier.layer].astype(np.float64), axis, -1)
    return list(softmax(values.mean(axis=tuple(range(1, values.ndim - 1)))))


def png(pixels: Crop, side: int | None = None) -> bytes:
    """A picture as PNG, resized to a square of ``side`` pixels unless that is None."""
    picture, file = Image.fromarray(pixels), io.BytesIO()
    if side is not None:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()

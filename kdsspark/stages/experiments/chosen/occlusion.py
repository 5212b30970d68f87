"""``occlusion``: what a grey square hides, place by place (Zeiler & Fergus 2013, figure 7).

Of each chosen image: the map of the last convolution that is strongest in it, as a square hides one
place after another, and what the classifier says then; and what of the image excites that map, by
deconvnet projection.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.hashing import fingerprint
from kdsspark.network.occlusion import Occlusion, mean_colour, occlude, square
from kdsspark.network.spec import Layer, NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS
from kdsspark.stages.embed import image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.experiments.chosen import classes, images, seeing
from kdsspark.stages.experiments.chosen.classes import ClassLayer, Followed
from kdsspark.stages.experiments.chosen.images import ChosenImage, wanted
from kdsspark.stages.experiments.chosen.seeing import Crop
from kdsspark.stages.pairs import PairPlan
from kdsspark.stages.report.pictures.project_task import shown
from kdsspark.tables import OCCLUSION, OCCLUSION_IMAGES

__all__ = ["plan", "run", "wanted"]

STAGE: Final = next(one for one in EXPERIMENTS if OCCLUSION in one.tables)

_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again


@dataclass(frozen=True, kw_only=True)
class OcclusionItem(WorkItem):
    """One image of a pair."""

    job: ImageJob
    image: ChosenImage
    layer: Layer
    classifier: ClassLayer | None


def run(context: Context) -> None:
    """Compute what is missing.

    Raises :class:`DatasetError` if a pair is not embedded or lacks an image that is asked for, and
    :class:`ConfigError` if no pair has a network.
    """
    seeing.warn_without_classifier(context, STAGE)
    seeing.run(context, STAGE, plan, occlusion_of_image, wanted)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair: one item an image; raises like :func:`run`."""
    if not wanted(config, pair):
        return PairPlan.of(STAGE, [])
    job = images.job(output, config, pair, "mean")
    classifier = classes.of_network(config, job.spec)
    layer = followed_layer(job.spec, classifier)
    used = [_FORMAT, job.spec.fingerprint, layer.name, repr(classifier)]
    items = [
        OcclusionItem(
            name=pair.item(image.id),
            digest=fingerprint([*used, repr(image)]),
            job=job,
            image=image,
            layer=layer,
            classifier=classifier,
        )
        for image in images.of_pair(output, config, pair)
    ]
    return PairPlan.of(STAGE, items)


def followed_layer(spec: NetworkSpec, classifier: ClassLayer | None) -> Layer:
    """The last convolution, or the last layer where there is none; the classifier only if alone."""
    layers = [one for one in spec.layers if classifier is None or one.name != classifier.layer]
    layers = layers or list(spec.layers)
    return ([one for one in layers if one.kind == "conv"] or layers)[-1]


# -- one image (executor) ------------------------------------------------------------------------


def occlusion_of_image(item: OcclusionItem) -> Outcome:
    """Write the rows of one image; raises :class:`DatasetError` if it can no longer be read."""
    start = time.perf_counter()
    spec = item.job.spec
    try:
        crop = seeing.crop(spec, seeing.load(item.job, item.image))
        read = time.perf_counter()
        found = _occlude(item, crop)
        projection = _projection(item, crop, found.unit)
    finally:
        gpus.release()
    followed = Followed.of(item.classifier, item.image.class_name, found.plain_chances)
    places = places_of(spec, item.layer, found.unit)
    head = {"image_id": item.image.id}
    row = {
        "class_name": item.image.class_name,
        "layer": item.layer.name,
        "unit": found.unit,
        "activation": places * found.plain_activation,
        "side": found.side,
        "stride": found.stride,
        "picture": seeing.png(crop),
        "projection": projection,
    }
    row |= head | followed.which | followed.said(found.plain_chances)
    rows = [head | at for at in _rows(found, followed, places)]
    for table, some in ((OCCLUSION, rows), (OCCLUSION_IMAGES, [row])):
        path = table.part(item.name.part, *item.job.pair)
        parquet.write_rows(item.job.output, path, some, table)
    return Outcome(
        {"places": len(rows)}, {"read": read - start, "compute": time.perf_counter() - read}
    )


def _occlude(item: OcclusionItem, crop: Crop) -> Occlusion:
    spec = item.job.spec
    output = item.classifier.layer if item.classifier else None
    grey = mean_colour(spec.preprocessing)
    side, stride = square(spec.preprocessing.crop)
    features = image_job.extractor(item.job)
    return occlude(features, crop, item.layer.name, output, grey, side, stride)


def _rows(found: Occlusion, followed: Followed, places: int) -> Iterator[dict[str, Any]]:
    """The rows of ``occlusion`` without the image."""
    for (row, column), mean in np.ndenumerate(found.activation):
        chances = None if found.chances is None else found.chances[row, column]
        where = {"y": row * found.stride, "x": column * found.stride}
        yield where | {"activation": places * float(mean)} | followed.said(chances)


def _projection(item: OcclusionItem, crop: Crop, unit: int) -> bytes:
    """What excites the maximum of a map, as PNG."""
    layer = item.layer.name
    peaks = image_job.extractor(replace(item.job, spec=replace(item.job.spec, pooling="peak")))
    _, y, x, _ = peaks([crop])[layer][0, unit].astype(int).tolist()
    places = None if y < 0 else [(y, x)]
    (projection,) = image_job.projector(item.job)([crop], layer, [unit], places)
    height, width, _ = crop.shape
    return seeing.png(shown(projection, (0, 0, width, height)))


def places_of(spec: NetworkSpec, layer: Layer, unit: int) -> int:
    """The number of places that the mean of a unit's map is of."""
    from kdsspark.network import activations  # torch, which the driver does without
    from kdsspark.network.architectures import skeleton

    size = spec.preprocessing.crop
    model = skeleton(spec.architecture, size, spec.settings)
    shapes = activations.shapes(model, {layer.name: layer.module}, spec.activation, size)
    _, *shape = shapes[layer.name]  # views come first
    units = shape[layer.axis - 1]
    if layer.tokens == "cls" or (layer.tokens == "cls+mean" and unit < units):
        return 1  # the class token's
    return math.prod(shape) // units - layer.prefix

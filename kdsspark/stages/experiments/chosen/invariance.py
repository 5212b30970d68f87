"""``invariance``: how far layers move when an image is changed (Zeiler & Fergus 2013, figure 5).

Each chosen image is shifted, scaled and turned. Euclidean distances are of all values of a layer,
not pooled over space, and are not divided by anything; ``length`` says how long the vector is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.hashing import fingerprint
from kdsspark.images import changes
from kdsspark.network.occlusion import mean_colour
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.experiments.chosen import classes, images, seeing
from kdsspark.stages.experiments.chosen.classes import ClassLayer, Followed
from kdsspark.stages.experiments.chosen.images import ChosenImage, wanted
from kdsspark.stages.experiments.chosen.seeing import Crop, Maps
from kdsspark.stages.pairs import PairPlan
from kdsspark.tables import INVARIANCE, INVARIANCE_VIEWS

__all__ = ["plan", "run", "wanted"]

STAGE: Final = next(one for one in EXPERIMENTS if INVARIANCE in one.tables)

_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again
_SHOWN: Final = 5  # amounts of a change with a picture


@dataclass(frozen=True, kw_only=True)
class InvarianceItem(WorkItem):
    """One image of a pair."""

    job: ImageJob
    image: ChosenImage
    classifier: ClassLayer | None


def run(context: Context) -> None:
    """Compute what is missing.

    Raises :class:`DatasetError` if a pair is not embedded or lacks an image that is asked for, and
    :class:`ConfigError` if no pair has a network.
    """
    seeing.warn_without_classifier(context, STAGE)
    seeing.run(context, STAGE, plan, invariance_of_image, wanted)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair: one item an image; raises like :func:`run`."""
    if not wanted(config, pair):
        return PairPlan.of(STAGE, [])
    job = images.job(output, config, pair, "whole")
    classifier = classes.of_network(config, job.spec)
    items = [
        InvarianceItem(
            name=pair.item(image.id),
            digest=fingerprint([_FORMAT, job.spec.fingerprint, repr(image), repr(classifier)]),
            job=job,
            image=image,
            classifier=classifier,
        )
        for image in images.of_pair(output, config, pair)
    ]
    return PairPlan.of(STAGE, items)


# -- one image (executor) ------------------------------------------------------------------------


def invariance_of_image(item: InvarianceItem) -> Outcome:
    """Write the rows of one image; raises :class:`DatasetError` if it can no longer be read."""
    start = time.perf_counter()
    try:
        crop = seeing.crop(item.job.spec, seeing.load(item.job, item.image))
        read = time.perf_counter()
        distances, views = _rows(item, crop)
    finally:
        gpus.release()
    for table, rows in ((INVARIANCE, distances), (INVARIANCE_VIEWS, views)):
        path = table.part(item.name.part, *item.job.pair)
        parquet.write_rows(item.job.output, path, rows, table)
    return Outcome(
        {"views": len(views)}, {"read": read - start, "compute": time.perf_counter() - read}
    )


def _rows(item: InvarianceItem, crop: Crop) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of both tables."""
    spec, fill = item.job.spec, mean_colour(item.job.spec.preprocessing)
    (plain,) = seeing.maps(item.job, [crop])
    (chances,) = seeing.probabilities(spec, item.classifier, plain)
    followed = Followed.of(item.classifier, item.image.class_name, chances)
    distances, views = [], []
    for change, amounts in changes.amounts(spec.preprocessing.crop).items():
        changed = [changes.changed(crop, change, amount, fill) for amount in amounts]
        shown = np.linspace(0, len(amounts) - 1, _SHOWN).round()
        number = 0
        for found in seeing.maps(item.job, changed):
            said = seeing.probabilities(spec, item.classifier, found)
            for moved, chances in zip(_distances(item, plain, found), said, strict=True):
                head = {"image_id": item.image.id, "change": change, "amount": amounts[number]}
                distances += [head | row for row in moved]
                small = seeing.png(changed[number], seeing.PICTURE) if number in shown else None
                columns = followed.which | followed.said(chances)
                views.append(head | columns | {"picture": small})
                number += 1
    return distances, views


def _distances(item: InvarianceItem, plain: Maps, found: Maps) -> list[list[dict[str, Any]]]:
    """Of each view, the columns of every layer."""
    classifier = item.classifier and item.classifier.layer
    by_layer = []
    for layer, values in found.items():
        as_is = plain[layer].ravel().astype(np.float64)
        length = float(np.linalg.norm(as_is))
        moved = [float(np.linalg.norm(view.ravel() - as_is)) for view in values]
        head = {"layer": layer, "length": length, "is_classifier": layer == classifier}
        by_layer.append([head | {"distance": distance} for distance in moved])
    return [list(rows) for rows in zip(*by_layer, strict=True)]

"""``retrieval``: whether the nearest images are of an image's own class (driver and executor).

Azizpour et al. 2014, section 5: vectors of length 1, their principal components, whitened and made
of length 1 again, compared by Euclidean distance. Their tasks match instances, over windows of
images; ours takes a class's own images as relevant, and whole images.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kdsspark.config import Config, Probe
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.experiments import fitting
from kdsspark.stages.experiments.dimensions import SIZES, components_of
from kdsspark.stages.experiments.fitting import FittingImages, NetworkLayer
from kdsspark.stages.pairs import PairPlan
from kdsspark.stages.probe.classifier import Vectors
from kdsspark.stages.probe.stage import BYTES_OF_A_VALUE
from kdsspark.stages.probe.trial import Mask
from kdsspark.stages.probe.vectors import WholeVectors
from kdsspark.stats.accuracy.intervals import of_folds
from kdsspark.stats.accuracy.retrieval import chance_precisions, retrieval_precisions
from kdsspark.stats.accuracy.split import normalised, random_places, split
from kdsspark.tables import RETRIEVAL

STAGE: Final = next(one for one in EXPERIMENTS if RETRIEVAL in one.tables)

_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again
_LEAST_DEVIATION: Final = 1e-9  # of a component of unit vectors; less is rounding


@dataclass(frozen=True, kw_only=True)
class RetrievalItem(WorkItem):
    """One layer of a pair."""

    output: Output
    pair: Pair
    layer: NetworkLayer
    settings: Probe
    most: int  # images that fit in memory


def run(context: Context) -> None:
    """Compute what is missing; raises :class:`DatasetError` if a pair is not embedded.

    Also if no class of a dataset has two images, when the others are done.
    """
    pairs.run(context, STAGE, plan, retrieval_of_layer, lambda item: item.layer.width)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises :class:`DatasetError` if it is not embedded."""
    source = pairs.embedded(output, pair)
    settings = config.probe.model_copy(update={"l2": True, "signed_root": False})
    used = [settings.test, settings.train_per_class, settings.max_test, settings.seed]
    items = []
    for depth, (layer, width) in enumerate(source.widths.items()):
        most = config.measure.memory_bytes // (BYTES_OF_A_VALUE * width)
        cut = None if most >= source.n_images else most  # what decides how many take part
        items.append(
            RetrievalItem(
                name=pair.item(f"layer-{depth:04d}"),
                digest=fingerprint([_FORMAT, source.digest, used, cut]),
                output=output,
                pair=pair,
                layer=NetworkLayer(pair.network, layer, width, source.parts),
                settings=settings,
                most=most,
            )
        )
    return PairPlan.of(STAGE, items)


# -- one layer (executor) ------------------------------------------------------------------------


def retrieval_of_layer(item: RetrievalItem) -> Outcome:
    """Write the rows of one layer; raises :class:`DatasetError` if no class has two images."""
    start = time.perf_counter()
    images = fitting.read(item.output, [item.layer], item.settings, item.most)
    read = time.perf_counter()
    rows = list(_rows(item, images))
    path = RETRIEVAL.part(item.name.part, *item.pair)
    parquet.write_rows(item.output, path, rows, RETRIEVAL)
    counts = {"images": len(images.labels), "queries": rows[0]["n_queries"]}
    return Outcome(counts, {"read": read - start, "compute": time.perf_counter() - read})


def _rows(item: RetrievalItem, images: FittingImages) -> Iterator[dict[str, Any]]:
    """The row of the vectors as they are, then that of whitened components."""
    settings, (vectors,) = item.settings, images.vectors
    places = random_places(images.keys, images.labels, settings.seed)
    trained, tested = split(
        places, images.labels, settings.test, settings.train_per_class, settings.max_test
    )
    queries = np.flatnonzero(tested)
    if not queries.size:
        raise DatasetError(
            f"dataset {item.pair.dataset}: retrieval needs a class with two images, "
            f"got one image a class"
        )
    chance = float(chance_precisions(images.labels, queries).mean())
    components = whitened(images, trained)
    for used, is_whitened in ((vectors, False), (components, True)):
        precisions = retrieval_precisions(used, images.labels, queries)
        low, high = of_folds(precisions) if len(queries) > 1 else (None, None)
        yield {
            "layer": item.layer.layer,
            "whitened": is_whitened,
            "dimensions": used.shape[1],
            "n_images": len(images.labels),
            "n_queries": len(queries),
            "mean_average_precision": float(precisions.mean()),
            "low": None if low is None else float(low),
            "high": None if high is None else float(high),
            "chance": chance,
        }


def n_components(n_trained: int, n_features: int) -> int:
    """The largest of 1, 2, 4, .. 512 up to the features and to half of the training images.

    Of as many components as images, the last are noise, and whitening makes all images equally far.
    """
    return max(size for size in SIZES if size <= max(1, min(n_features, n_trained // 2)))


def whitened(images: FittingImages, trained: Mask) -> Vectors:
    """The components of the training images, each divided by its deviation, of length 1.

    float64 [images, components], without components that do not vary.
    """
    (vectors,) = images.vectors
    source = WholeVectors(images.keys, images.labels, vectors)
    k = n_components(int(trained.sum()), source.n_features)
    found = components_of(source, trained, k)
    projected = (vectors - found.mean) @ found.axes.T
    deviation = projected[trained].std(axis=0)
    varies = deviation > _LEAST_DEVIATION
    return normalised(projected[:, varies] / deviation[varies], l2=True, signed_root=False)

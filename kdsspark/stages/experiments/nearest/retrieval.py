"""``retrieval``: whether the nearest images are of an image's own class (driver and executor).

Azizpour et al. 2014, section 5: vectors of length 1, their principal components, whitened and made
of length 1 again, compared by Euclidean distance; of windows of two images, the smallest distance
counts. Their tasks match instances; ours takes a class's own images as relevant.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from kdsspark.config import Config, Probe
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.images.windows import WINDOWS
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.embed import complete
from kdsspark.stages.experiments import fitting
from kdsspark.stages.experiments.dimensions import SIZES, components_of
from kdsspark.stages.experiments.fitting import FittingImages, NetworkLayer
from kdsspark.stages.experiments.nearest import windows
from kdsspark.stages.experiments.spatial.reading import FilesOfShards
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

_FILES: Final = FilesOfShards(STAGE)
_FORMAT: Final = 2  # of the files written; if it changes, every output is computed again
_LEAST_DEVIATION: Final = 1e-9  # of a component of unit vectors; less is rounding


@dataclass(frozen=True, kw_only=True)
class RetrievalItem(WorkItem):
    """One layer of a pair: its embeddings, or its windows."""

    output: Output
    pair: Pair
    layer: NetworkLayer
    windows: int  # 0: embeddings
    settings: Probe
    most: int  # images that fit in memory

    @property
    def n_values(self) -> int:
        """Values of an image."""
        return self.layer.width * max(1, self.windows)


def run(context: Context) -> None:
    """Compute what is missing; raises :class:`DatasetError` if a pair is not embedded.

    Also if no class of a dataset has two images, when the others are done. Raises
    :class:`ConfigError` if windows are wanted and no pair has images.
    """
    output, config = context.output, context.config
    if config.experiments.windows:
        if not any(pairs.goes_through_a_network(config, pair) for pair in context.pairs):
            raise ConfigError(
                "experiments.windows: needs a network that takes images, "
                "got ready-made embeddings or pixels"
            )
        working = [p for p in complete.working_pairs(context) if STAGE.wanted(config, p)]
        mine = [pair for pair in working if pairs.goes_through_a_network(config, pair)]
        todo = [pair for pair in mine if not plan(output, config, pair).finished(output)]
        if todo:
            windows.read(context, _FILES, todo)
    pairs.run(context, STAGE, plan, retrieval_of_layer, lambda item: item.n_values)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises :class:`DatasetError` if it is not embedded."""
    source = pairs.embedded(output, pair)
    settings = config.probe.model_copy(update={"l2": True, "signed_root": False})
    used = [settings.test, settings.train_per_class, settings.max_test, settings.seed]
    layers = list(enumerate(source.widths))
    wanted = [(depth, layer, 0, source.parts) for depth, layer in layers]
    if of_windows := windows.layers_of(output, config, pair):
        parts = _FILES.parts(output, pair)
        wanted += [(depth, layer.name, WINDOWS, parts) for depth, layer in of_windows.items()]
    items = []
    for depth, layer, n_windows, parts in wanted:
        width = source.widths[layer]
        most = config.measure.memory_bytes // (BYTES_OF_A_VALUE * width * max(1, n_windows))
        cut = None if most >= source.n_images else most  # what decides how many take part
        items.append(
            RetrievalItem(
                name=pair.item(f"layer-{depth:04d}" + ("-windows" if n_windows else "")),
                digest=fingerprint([_FORMAT, source.digest, used, cut]),
                output=output,
                pair=pair,
                layer=NetworkLayer(pair.network, layer, width, parts),
                windows=n_windows,
                settings=settings,
                most=most,
            )
        )
    return PairPlan.of(STAGE, items)


# -- one layer (executor) ------------------------------------------------------------------------


def retrieval_of_layer(item: RetrievalItem) -> Outcome:
    """Write the rows of one layer; raises :class:`DatasetError` if no class has two images."""
    start = time.perf_counter()
    images, vectors = _read(item)
    read = time.perf_counter()
    rows = list(_rows(item, images, vectors))
    path = RETRIEVAL.part(item.name.part, *item.pair)
    parquet.write_rows(item.output, path, rows, RETRIEVAL)
    counts = {"images": len(images.labels), "queries": rows[0]["n_queries"]}
    return Outcome(counts, {"read": read - start, "compute": time.perf_counter() - read})


def _read(item: RetrievalItem) -> tuple[FittingImages, Vectors]:
    """The images, and their vectors of length 1: [images, windows, features]."""
    # The windows of an image are one list, but each has a length of its own.
    as_they_are = item.settings.model_copy(update={"l2": False})
    layer = replace(item.layer, width=item.n_values)
    images = fitting.read(item.output, [layer], as_they_are, item.most)
    flat = images.vectors[0].reshape(-1, item.layer.width)
    vectors = normalised(flat, item.settings.l2, item.settings.signed_root)
    return images, vectors.reshape(len(images.labels), -1, item.layer.width)


def _rows(item: RetrievalItem, images: FittingImages, vectors: Vectors) -> Iterator[dict[str, Any]]:
    """The row of the vectors as they are, then that of whitened components; of windows, twice."""
    settings = item.settings
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
    for n_windows in (1, item.windows) if item.windows else (0,):
        mine = vectors[:, : max(1, n_windows)]
        for used, is_whitened in ((mine, False), (whitened(images, mine, trained), True)):
            precisions = retrieval_precisions(used, images.labels, queries)
            low, high = of_folds(precisions) if len(queries) > 1 else (None, None)
            yield {
                "layer": item.layer.layer,
                "windows": n_windows,
                "whitened": is_whitened,
                "dimensions": used.shape[2],
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


def whitened(images: FittingImages, vectors: Vectors, trained: Mask) -> Vectors:
    """The components of the training images, each divided by its deviation, of length 1.

    ``vectors`` are [images, windows, features]. All windows of the training images count alike.
    Returns float64 [images, windows, components], without components that do not vary.
    """
    n_images, n_windows, width = vectors.shape
    flat = vectors.reshape(n_images * n_windows, width)
    # The images as often as each has windows.
    keys, labels = images.keys.repeat(n_windows, axis=0), images.labels.repeat(n_windows)
    train = trained.repeat(n_windows)
    k = n_components(int(trained.sum()), width)
    found = components_of(WholeVectors(keys, labels, flat), train, k)
    projected = (flat - found.mean) @ found.axes.T
    deviation = projected[train].std(axis=0)
    varies = deviation > _LEAST_DEVIATION
    unit = normalised(projected[:, varies] / deviation[varies], l2=True, signed_root=False)
    return unit.reshape(n_images, n_windows, unit.shape[1])

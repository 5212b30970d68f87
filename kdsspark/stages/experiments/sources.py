"""``sources``: networks alone and side by side, by dataset (driver and executor).

Azizpour et al. 2014, section 3.1.4 and table 3: the classifier of ``probe`` on one layer of each
network, and on these layers side by side. All see the same images and the same splits.

The rows of a dataset are filed under its first network, in a file that has all networks in its
name, so that they go when any of these is forgotten.
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
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import names, parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.embed import complete
from kdsspark.stages.experiments import fitting
from kdsspark.stages.experiments.fitting import FittingImages, NetworkLayer
from kdsspark.stages.pairs import Embedded, PairPlan
from kdsspark.stages.probe import trial
from kdsspark.stages.probe.classifier import Vectors
from kdsspark.stages.probe.stage import BYTES_OF_A_VALUE
from kdsspark.stages.probe.trial import TrialResult
from kdsspark.stages.probe.vectors import WholeVectors
from kdsspark.tables import SOURCES

STAGE: Final = next(one for one in EXPERIMENTS if SOURCES in one.tables)

_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again
_BYTES_OF_A_VALUE: Final = BYTES_OF_A_VALUE + 8  # and float64 by each network alone
_LONGEST_NAME: Final = 200  # characters; file systems allow 255 with endings


@dataclass(frozen=True, kw_only=True)
class SourcesItem(WorkItem):
    """One dataset by several networks; ``pair`` has the first of them."""

    output: Output
    pair: Pair
    layers: tuple[NetworkLayer, ...]  # one of each network
    settings: Probe
    most: int  # images that fit in memory


def networks_of(config: Config, dataset: str) -> list[str]:
    """The networks to compare on a dataset, in the order of the configuration."""
    chosen = config.experiments.sources
    own = [network for network, one in config.pairs() if one.name == dataset]
    return [network for network in own if chosen is None or network in chosen]


def wanted(config: Config, pair: Pair) -> bool:
    """Whether the rows of a dataset are filed under this pair."""
    networks = networks_of(config, pair.dataset)
    return len(networks) > 1 and pair.network == networks[0]


def run(context: Context) -> None:
    """Compute what is missing, and remove the rows of networks that are not compared any more.

    Raises :class:`DatasetError` if a pair is not embedded, if a network lacks its layer or if no
    class of a dataset has two images, and :class:`ConfigError` if no dataset has two networks.
    """
    pairs.run(context, STAGE, plan, sources_of_dataset, _cost)
    if not any(wanted(context.config, pair) for pair in context.pairs):
        raise ConfigError(
            "experiment sources: two networks must have the same dataset, "
            "got one network for each dataset"
        )


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair: nothing for networks that are not the first of their dataset.

    Raises :class:`DatasetError` if a network has not embedded the dataset, or lacks its layer.
    """
    compared = [Pair(network, pair.dataset) for network in networks_of(config, pair.dataset)]
    if not wanted(config, pair) or any(complete.all_failed(output, one) for one in compared):
        return PairPlan.of(STAGE, [])
    name = names.side_by_side([one.network for one in compared])
    if len(name) > _LONGEST_NAME:
        raise DatasetError(
            f"dataset {pair.dataset}: the names of the networks that experiment sources compares "
            f"must have at most {_LONGEST_NAME} characters together, got {len(name)}"
        )
    sources = [pairs.embedded(output, one) for one in compared]
    layers = tuple(_layer(config, source) for source in sources)
    width = sum(layer.width for layer in layers)
    most = config.measure.memory_bytes // (_BYTES_OF_A_VALUE * width)
    cut = None if most >= min(source.n_images for source in sources) else most
    digests = [source.digest for source in sources]
    used = [layer.layer for layer in layers]
    item = SourcesItem(
        name=pair.item(name),
        digest=fingerprint([_FORMAT, digests, used, config.probe.model_dump(), cut]),
        output=output,
        pair=pair,
        layers=layers,
        settings=config.probe,
        most=most,
    )
    return PairPlan.of(STAGE, [item])


def _layer(config: Config, source: Embedded) -> NetworkLayer:
    """The layer that the configuration names, or the last one."""
    network = source.pair.network
    named = (config.experiments.sources or {}).get(network)
    *_, last = source.widths
    layer = last if named is None else named
    if layer not in source.widths:
        raise DatasetError(
            f"dataset {source.pair.dataset}: experiments.sources.{network} must be a layer of "
            f"{network} ({', '.join(source.widths)}), got {layer!r}"
        )
    return NetworkLayer(network, layer, source.widths[layer], source.parts)


def _cost(item: SourcesItem) -> int:
    return sum(layer.width for layer in item.layers)


# -- one dataset (executor) ----------------------------------------------------------------------


def sources_of_dataset(item: SourcesItem) -> Outcome:
    """Write the rows of one dataset; raises :class:`DatasetError` if no class has two images."""
    start = time.perf_counter()
    images = fitting.read(item.output, item.layers, item.settings, item.most)
    if not len(images.labels) or np.bincount(images.labels).max() < 2:
        raise DatasetError(
            f"dataset {item.pair.dataset}: sources needs a class with two images that all its "
            f"networks have embedded, got one image a class"
        )
    read = time.perf_counter()
    rows, converged = [], True
    for layers, vectors in _combinations(item, images):
        found = trial.run(WholeVectors(images.keys, images.labels, vectors), item.settings)
        rows.append(_row(layers, found))
        converged &= found.converged
    path = SOURCES.part(item.name.part, *item.pair)
    parquet.write_rows(item.output, path, rows, SOURCES)
    counts = {"images": len(images.labels), "trials": len(rows), "converged": int(converged)}
    return Outcome(counts, {"read": read - start, "fit and test": time.perf_counter() - read})


def _combinations(
    item: SourcesItem, images: FittingImages
) -> Iterator[tuple[tuple[NetworkLayer, ...], Vectors]]:
    """Each network alone, then all, with the vectors: [images, features]."""
    for layer, vectors in zip(item.layers, images.vectors, strict=True):
        yield (layer,), vectors
    yield item.layers, beside(images.vectors)


def beside(vectors: tuple[Vectors, ...]) -> Vectors:
    """Vectors side by side: [images, features of all].

    Divided by the square root of their number, so that the length stays what it is alone, and the
    penalty of the classifier means the same.
    """
    together: Vectors = np.concatenate(vectors, axis=1) / np.sqrt(len(vectors))
    return together


def _row(layers: tuple[NetworkLayer, ...], found: TrialResult) -> dict[str, Any]:
    row = {
        "sources": names.side_by_side([layer.network for layer in layers]),
        "n_sources": len(layers),
        "layers": "+".join(layer.layer for layer in layers),
        "n_features": sum(layer.width for layer in layers),
    }
    return row | found.columns(found.accuracies()[:, 0])

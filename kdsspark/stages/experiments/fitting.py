"""Vectors of the same images by one or several networks, of as many images as fit (executor)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.config import Probe
from kdsspark.output import parquet
from kdsspark.output.arrow import image_keys
from kdsspark.output.output import Output
from kdsspark.stages.probe.classifier import Labels, Vectors
from kdsspark.stages.probe.vectors import VectorColumns
from kdsspark.stats.accuracy.split import random_places


@dataclass(frozen=True)
class NetworkLayer:
    """One layer of one network, and the files of ``embeddings`` that have it."""

    network: str
    layer: str
    width: int
    parts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FittingImages:
    """Images that all networks have embedded, in the order of their ids."""

    keys: npt.NDArray[np.uint64]  # the two halves of each image id: [images, 2]
    labels: Labels  # [images]
    vectors: tuple[Vectors, ...]  # of each layer: [images, features]


def read(
    output: Output, layers: Sequence[NetworkLayer], settings: Probe, most: int
) -> FittingImages:
    """The images that all of ``layers`` have, about ``most`` of them, normalised by each layer.

    Where there are more than ``most``, equally many of each class take part, at least two, drawn by
    the seed of ``settings``.
    """
    columns = ["image_id", "class_id"]
    first, *others = (
        pa.concat_tables([parquet.read_file(output, part, columns) for part in layer.parts])
        for layer in layers
    )
    for other in others:
        first = first.filter(_places(first["image_id"], other["image_id"]) >= 0)
    keys, labels = image_keys(first["image_id"]), first["class_id"].to_numpy()
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    if len(order) > most:
        each = max(2, most // len(np.unique(labels)))
        order = order[random_places(keys, labels, settings.seed)[order] < each]
    ids = first["image_id"].take(pa.array(order))
    vectors = tuple(_vectors(output, layer, settings, ids) for layer in layers)
    return FittingImages(keys[order], labels[order], vectors)


def _places(ids: pa.ChunkedArray, among: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The place of each of ``ids`` in ``among``, -1 where it is not there: int64 [ids]."""
    places = pc.index_in(ids, value_set=among.combine_chunks())
    found: npt.NDArray[np.int64] = places.fill_null(-1).to_numpy().astype(np.int64)
    return found


def _vectors(output: Output, layer: NetworkLayer, settings: Probe, ids: pa.ChunkedArray) -> Vectors:
    """The vectors of these images, in their order: [ids, features]."""
    found = np.empty((len(ids), layer.width))
    groups = VectorColumns(output, ((layer.layer, layer.width),), settings)
    for path in layer.parts:
        places = _places(parquet.read_file(output, path, ["image_id"])["image_id"], ids)
        start = 0
        for vectors in groups(path):
            own = places[start : start + len(vectors)]
            found[own[own >= 0]] = vectors[own >= 0]
            start += len(vectors)
    return found

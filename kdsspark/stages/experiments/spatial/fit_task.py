"""What an executor does with one form of the maps of one layer: fit, test, write a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.config import Probe
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values, image_keys
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.probe import trial, vectors
from kdsspark.stages.probe.classifier import Vectors
from kdsspark.stages.probe.stage import BYTES_OF_A_VALUE
from kdsspark.stages.probe.vectors import VectorFiles, VectorSource, WholeVectors
from kdsspark.stats.accuracy.space import coordinates
from kdsspark.stats.accuracy.split import normalised
from kdsspark.tables import Table

_BYTES_OF_A_FEATURE: Final = 4  # float32
_BYTES_OF_A_PRODUCT: Final = 80  # of two images: float64, axes, and those of the solver

MakeForm = Callable[[npt.NDArray[np.float32], npt.NDArray[np.uint64]], npt.NDArray[np.float32]]
"""Values [images, width of the column] and ids [images, 2] -> [images, features]."""


@dataclass(frozen=True, kw_only=True)
class FitItem(WorkItem):
    """One form of the maps of one layer."""

    output: Output
    pair: Pair
    layer: str
    depth: int
    form: str
    parts: tuple[str, ...]  # files of maps
    settings: Probe
    memory: int  # bytes


@dataclass(frozen=True)
class FormColumn:
    """Reads a form of one column of the files of maps, as normalised vectors."""

    output: Output
    column: str
    n_features: int
    form: MakeForm
    settings: Probe

    def __call__(self, path: str) -> Iterator[Vectors]:
        """The vectors of each row group of one file."""
        for rows in parquet.row_groups(self.output, path, ["image_id", self.column]):
            values = flat_values(rows[self.column]).reshape(len(rows), -1)
            found = self.form(values, image_keys(rows["image_id"]))
            yield normalised(found, self.settings.l2, self.settings.signed_root)


def fit(item: FitItem, read: VectorFiles, table: Table, row: Mapping[str, Any]) -> Outcome:
    """Write the row of one form; raises :class:`DatasetError` if no class has two images."""
    start = time.perf_counter()
    source = source_of(read, item.parts, item.memory)
    if not len(source.labels) or np.bincount(source.labels).max() < 2:
        raise DatasetError(
            f"dataset {item.pair.dataset}: {table.name} needs a class with two images, "
            f"got one image a class"
        )
    began = time.perf_counter()
    found = trial.run(source, item.settings)
    row = {"layer": item.layer, "n_features": read.n_features, **row}
    row |= found.columns(found.accuracies()[:, 0])
    parquet.write_rows(item.output, table.part(item.name.part, *item.pair), [row], table)
    counts = {"images": len(source.labels), "converged": int(found.converged)}
    return Outcome(counts, {"read": began - start, "fit and test": time.perf_counter() - began})


def source_of(read: VectorFiles, parts: Sequence[str], memory: int) -> VectorSource:
    """The vectors of all images of some files, within ``memory`` bytes.

    Where there are fewer images than features, the vectors are turned into the space that the
    images span, which changes no result but takes a small part of the time. Where they do not fit,
    they are read again in every pass.
    """
    found = vectors.of_files(read, parts, streams=True)
    n, width = len(found.labels), found.n_features
    if n < width and n * (_BYTES_OF_A_FEATURE * width + _BYTES_OF_A_PRODUCT * n) <= memory:
        order = np.lexsort((found.keys[:, 1], found.keys[:, 0]))
        place = np.argsort(order)
        whole = np.empty((n, width), np.float32)
        for some, batch in found.batches():
            whole[place[some]] = batch
        return WholeVectors(found.keys[order], found.labels[order], coordinates(whole))
    return vectors.of_files(read, parts, streams=n * width * BYTES_OF_A_VALUE > memory)

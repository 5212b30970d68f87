"""The vectors that classifiers learn from: all in memory, or a row group at a time (executor)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.config import Probe
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values, image_keys
from kdsspark.output.output import Output
from kdsspark.stages.probe.classifier import Labels, Vectors
from kdsspark.stats.accuracy.split import normalised

Batch = tuple[slice, Vectors]
"""The places of some images, and their vectors [images, features]."""


class VectorSource(Protocol):
    """Images with their vectors, in an order of its own."""

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """The two halves of each image id: [images, 2]."""

    @property
    def labels(self) -> Labels:
        """[images]."""

    @property
    def n_features(self) -> int:
        """The number of features of an image."""

    @property
    def streams(self) -> bool:
        """Whether the vectors do not fit in memory."""

    def batches(self, number: int | None = None) -> Iterator[Batch]:
        """All images; pass ``number`` has an order of its own where they do not fit in memory."""


@dataclass(frozen=True, eq=False)
class WholeVectors:
    """Vectors in memory, in the order of their ids, for solvers heed the order."""

    keys: npt.NDArray[np.uint64]
    labels: Labels
    vectors: Vectors
    streams: bool = False

    @property
    def n_features(self) -> int:
        """The number of features of an image."""
        return int(self.vectors.shape[1])

    def batches(self, number: int | None = None) -> Iterator[Batch]:  # noqa: ARG002
        """All at once."""
        yield slice(0, len(self.labels)), self.vectors


def in_order(keys: npt.NDArray[np.uint64], labels: Labels, vectors: Vectors) -> WholeVectors:
    """Vectors in memory, put into the order of their ids."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    return WholeVectors(keys[order], labels[order], vectors[order])


@dataclass(frozen=True, eq=False)
class Streamed:
    """Vectors in files, in the order of these; read a row group at a time."""

    keys: npt.NDArray[np.uint64]
    labels: Labels
    n_features: int
    starts: Sequence[tuple[str, int]]  # each file, and the number of images before it
    read: Callable[[str], Iterator[Vectors]]
    streams: bool = True

    def batches(self, number: int | None = None) -> Iterator[Batch]:
        """Each pass with a number has its own order of the files."""
        order = range(len(self.starts))
        if number is not None:
            order = np.random.default_rng(number).permutation(len(self.starts)).tolist()
        for path, start in (self.starts[i] for i in order):
            for vectors in self.read(path):
                yield slice(start, start + len(vectors)), vectors
                start += len(vectors)


class VectorFiles(Protocol):
    """Reads files of vectors."""

    @property
    def output(self) -> Output:
        """Where the files lie."""

    @property
    def n_features(self) -> int:
        """The number of features of an image."""

    def __call__(self, path: str, /) -> Iterator[Vectors]:
        """The vectors of each row group of one file."""


@dataclass(frozen=True)
class VectorColumns:
    """Reads layers side by side, as normalised vectors."""

    output: Output
    layers: tuple[tuple[str, int], ...]  # name and width
    settings: Probe

    @property
    def n_features(self) -> int:
        """The number of features of an image."""
        return sum(width for _, width in self.layers)

    def __call__(self, path: str) -> Iterator[Vectors]:
        """The vectors of each row group of one file."""
        for rows in parquet.row_groups(self.output, path, [name for name, _ in self.layers]):
            values = [flat_values(rows[n]).reshape(len(rows), width) for n, width in self.layers]
            vectors = np.concatenate(values, axis=1)
            yield normalised(vectors, self.settings.l2, self.settings.signed_root)


def of_files(read: VectorFiles, parts: Sequence[str], streams: bool) -> WholeVectors | Streamed:
    """The images of some files of a table."""
    columns = ["image_id", "class_id"]
    tables = [parquet.read_file(read.output, path, columns) for path in parts]
    ends = np.cumsum([len(rows) for rows in tables]).tolist()
    rows = pa.concat_tables(tables)
    keys, labels = image_keys(rows["image_id"]), rows["class_id"].to_numpy()
    starts = list(zip(parts, [0, *ends[:-1]], strict=True))
    found = Streamed(keys, labels, read.n_features, starts, read)
    if streams:
        return found
    vectors = np.empty((len(labels), read.n_features))
    for some, batch in found.batches():
        vectors[some] = batch
    return in_order(keys, labels, vectors)

"""Summarize the distances of one dataset: add up counts, fit, find the thresholds (executor)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import label_sets
from kdsspark.stages.measure import summaries
from kdsspark.stages.summarize.summary import summarized
from kdsspark.stats.summaries.counts import Summary
from kdsspark.tables import EMBEDDINGS, KS, SIGNIFICANCE, THRESHOLDS

_PART: Final = "part-0"


@dataclass(frozen=True, kw_only=True)
class SummaryItem(WorkItem):
    """One measured dataset, by one network: a :class:`.summary.Measured` in files."""

    output: Output
    pair: Pair
    layers: dict[str, list[str]]  # layer -> names of its measured slices
    kinds: dict[str, str]  # layer -> conv, fc or other
    n_images: int  # embedded
    classes: int  # in the index
    shuffles: int
    keep_shuffled: bool
    several: bool = False  # labels an image

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return self.pair.dataset

    @property
    def n_classes(self) -> int:
        """The number of classes with an embedded image, at least 1."""
        return max(1, int((self._sizes > 0).sum()))

    @property
    def n_labels(self) -> int:
        """The number of labels of the embedded images."""
        return int(self._sizes.sum())

    @cached_property
    def _sizes(self) -> npt.NDArray[np.int64]:
        """The number of embedded images of each class, read from ``embeddings``."""
        column = "class_name" if self.several else "class_id"
        labels = parquet.read(self.output, EMBEDDINGS, *self.pair, columns=[column])[column]
        if self.several:
            return label_sets.read(self.output, self.dataset).sizes(labels)
        return np.bincount(labels.to_numpy())

    def summaries(self, layer: str) -> Iterator[tuple[int, Summary]]:
        """The summaries of each slice of a layer."""
        for name in self.layers[layer]:
            yield from summaries.read(self.output, self.pair, name)

    def distances(self, layer: str, labels: str, columns: Sequence[str]) -> pa.Table:
        """Columns of ``ks`` of a layer."""
        paths = [KS.part(name, *self.pair, labels) for name in self.layers[layer]]
        return pa.concat_tables(parquet.read_file(self.output, path, columns) for path in paths)


def summarize_dataset(job: SummaryItem) -> Outcome:
    """Write the dataset's part of every table that follows from ``ks``."""
    start, pairs = time.perf_counter(), 0
    for table, labels, rows in summarized(job):
        if table is THRESHOLDS:
            path = THRESHOLDS.part(job.pair.dataset, job.pair.network)
        else:
            path = table.part(_PART, *job.pair, *labels)
        parquet.write(job.output, path, rows, table.schema)
        if table is SIGNIFICANCE:
            pairs = len(rows) - rows["p"].null_count
    return Outcome({"pairs": pairs}, {"summarize": time.perf_counter() - start})

"""Probe one set of features of one dataset: split the images, fit, count (executor)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from kdsspark.config import Probe
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.parquet import nullable
from kdsspark.stages.probe import trial, vectors
from kdsspark.stages.probe.trial import TrialResult
from kdsspark.tables import PROBE

ALL_CLASSES: Final = -1


@dataclass(frozen=True, kw_only=True)
class ProbeItem(WorkItem):
    """One or more layers of one dataset, in one table of embeddings."""

    output: Output
    pair: Pair
    layer: str  # for the column ``layer`` of ``probe``
    features: str  # for the column ``features`` of ``probe``
    layers: tuple[tuple[str, int], ...]  # name and width of the columns to read
    parts: tuple[str, ...]  # files of the table
    settings: Probe
    streams: bool  # the images do not fit in memory

    @property
    def n_features(self) -> int:
        """The number of features of an image."""
        return sum(width for _, width in self.layers)

    def source(self) -> vectors.VectorSource:
        """The vectors of all images, read or to be read."""
        read = vectors.VectorColumns(self.output, self.layers, self.settings)
        return vectors.of_files(read, self.parts, self.streams)


def probe_layer(job: ProbeItem) -> Outcome:
    """Write the rows of ``probe`` for one set of features."""
    start = time.perf_counter()
    source = job.source()
    read = time.perf_counter()
    found = trial.run(source, job.settings)
    path = PROBE.part(job.name.part, *job.pair)
    parquet.write(job.output, path, _rows(job, source, found), PROBE.schema)
    counts = {
        "images": len(source.labels),
        "features": job.n_features,
        "converged": int(found.converged),
    }
    return Outcome(counts, {"read": read - start, "fit and test": time.perf_counter() - read})


def _rows(job: ProbeItem, source: vectors.VectorSource, found: TrialResult) -> pa.Table:
    """The row of all classes together, then one row for each class that has images."""
    present = np.flatnonzero(np.bincount(source.labels))
    columns = np.append(0, 1 + present)  # of all classes first
    accuracies = found.accuracies()[:, columns]
    n_train, n_test, correct = (
        np.column_stack([count.sum(axis=1), count])[:, columns]
        for count in (found.n_train, found.n_test, found.correct)
    )
    low, high = trial.interval(accuracies, n_test)
    several = len(accuracies) > 1
    deviation = accuracies.std(axis=0, ddof=1) if several else np.full(len(columns), np.nan)
    means = np.full(len(columns), np.nan)
    means[0] = found.means_of_classes().mean()
    n = len(columns)
    return pa.table(
        {
            "layer": pa.repeat(job.layer, n),
            "features": pa.repeat(job.features, n),
            "class_id": pa.array(np.append(ALL_CLASSES, present).astype(np.int32)),
            "method": pa.repeat(found.method, n),
            "n_features": pa.repeat(pa.scalar(job.n_features, pa.int32()), n),
            "n_train": pa.array(n_train[0]),
            "n_test": pa.array(n_test.sum(axis=0)),
            "correct": pa.array(correct.sum(axis=0)),
            "accuracy": nullable(accuracies.mean(axis=0)),
            "folds": pa.repeat(pa.scalar(len(accuracies), pa.int32()), n),
            "deviation": nullable(deviation),
            "low": nullable(low),
            "high": nullable(high),
            "mean_of_classes": nullable(means),
            "c": nullable(np.full(n, found.c)),
        }
    )

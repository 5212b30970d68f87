"""Probe one set of features of one dataset: split the images, fit, count (executor)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.config import Probe
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values, image_keys
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.probe.classifier import (
    Classifier,
    Labels,
    Majority,
    Vectors,
    fit_at_once,
    fit_streaming,
)
from kdsspark.stats.split import images_to_test, normalised
from kdsspark.tables import PROBE

AT_ONCE: Final = "LinearSVC"
STREAMING: Final = "SGD"
MAJORITY: Final = "majority"
"""The methods of ``probe``."""

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


@dataclass(frozen=True, eq=False)
class _Images:
    """The images, in the order of the parts."""

    keys: npt.NDArray[np.uint64]  # [images, 2]
    labels: Labels  # [images], class_id
    tested: npt.NDArray[np.bool_]  # [images], the images to test with
    starts: Sequence[tuple[str, int]]  # each part, and the number of images before it

    @property
    def labels_to_train(self) -> Labels:
        return self.labels[~self.tested]


_Batch = tuple[slice, Vectors]
"""The places of some images, and their vectors [images, features]."""


def probe_layer(job: ProbeItem) -> Outcome:
    """Write the rows of ``probe`` for one set of features."""
    start = time.perf_counter()
    images = _images(job)
    classifier, method, converged = _fit(job, images)
    fitted = time.perf_counter()
    right = np.zeros(len(images.labels), np.bool_)
    for some, vectors in _batches(job, images.starts):
        tested = np.flatnonzero(images.tested[some])
        if tested.size:
            at = tested + some.start
            right[at] = classifier.predict(vectors[tested]) == images.labels[at]
    path = PROBE.part(job.name.part, *job.pair)
    parquet.write(job.output, path, _rows(job, images, right, method), PROBE.schema)
    counts = {"images": len(right), "features": job.n_features, "converged": int(converged)}
    seconds = {"fit": fitted - start, "test and write": time.perf_counter() - fitted}
    return Outcome(counts, seconds)


def _images(job: ProbeItem) -> _Images:
    columns = ["image_id", "class_id"]
    parts = [parquet.read_file(job.output, path, columns) for path in job.parts]
    ends = np.cumsum([len(rows) for rows in parts]).tolist()
    rows = pa.concat_tables(parts)
    keys, labels = image_keys(rows["image_id"]), rows["class_id"].to_numpy()
    tested = images_to_test(keys, labels, job.settings.test, job.settings.seed)
    return _Images(keys, labels, tested, list(zip(job.parts, [0, *ends[:-1]], strict=True)))


# -- fitting -------------------------------------------------------------------------------------


def _fit(job: ProbeItem, images: _Images) -> tuple[Classifier, str, bool]:
    """Returns the classifier, its method, and whether it converged."""
    labels = images.labels_to_train
    if not job.n_features or len(np.unique(labels)) == 1:
        return Majority.of(labels), MAJORITY, True
    if job.streams:
        batches = partial(_to_train, job, images)
        return fit_streaming(batches, labels, job.settings.c), STREAMING, True
    vectors, labels = _gathered(job, images)
    classifier, converged = fit_at_once(vectors, labels, job.settings.c)
    return classifier, AT_ONCE, converged


def _gathered(job: ProbeItem, images: _Images) -> tuple[Vectors, Labels]:
    """All images to train with, ordered by id, because the solver's result depends on the order."""
    trained = np.flatnonzero(~images.tested)
    keys = images.keys[trained]
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    place = np.empty(len(images.labels), np.int64)
    place[trained[order]] = np.arange(len(trained))
    vectors = np.empty((len(trained), job.n_features))
    for some, batch in _batches(job, images.starts):
        kept = ~images.tested[some]
        vectors[place[some][kept]] = batch[kept]
    return vectors, images.labels[trained[order]]


def _to_train(job: ProbeItem, images: _Images, number: int) -> Iterator[tuple[Vectors, Labels]]:
    """One pass over the images to train with; each pass has its own order of the parts."""
    order = np.random.default_rng(number).permutation(len(images.starts))
    for some, vectors in _batches(job, [images.starts[i] for i in order]):
        kept = ~images.tested[some]
        if kept.any():
            yield vectors[kept], images.labels[some][kept]


# -- reading -------------------------------------------------------------------------------------


def _batches(job: ProbeItem, starts: Sequence[tuple[str, int]]) -> Iterator[_Batch]:
    """The normalised vectors of all images, a row group at a time."""
    columns = [name for name, _ in job.layers]
    for path, start in starts:
        for rows in parquet.row_groups(job.output, path, columns):
            values = [flat_values(rows[n]).reshape(len(rows), width) for n, width in job.layers]
            vectors = np.concatenate(values, axis=1)
            settings = job.settings
            yield (
                slice(start, start + len(rows)),
                normalised(vectors, settings.l2, settings.signed_root),
            )
            start += len(rows)


# -- tables --------------------------------------------------------------------------------------


def _rows(job: ProbeItem, images: _Images, right: npt.NDArray[np.bool_], method: str) -> pa.Table:
    """The row of all classes together, then one row for each class that has images."""
    sizes, tested, correct = (
        np.bincount(images.labels[chosen], minlength=images.labels.max() + 1)
        for chosen in (slice(None), images.tested, right)
    )
    classes = np.flatnonzero(sizes)
    n_test = np.append(tested.sum(), tested[classes])
    n_correct = np.append(correct.sum(), correct[classes])
    none = n_test == 0
    n = len(n_test)
    return pa.table(
        {
            "layer": pa.repeat(job.layer, n),
            "features": pa.repeat(job.features, n),
            "class_id": pa.array(np.append(ALL_CLASSES, classes).astype(np.int32)),
            "method": pa.repeat(method, n),
            "n_features": pa.repeat(pa.scalar(job.n_features, pa.int32()), n),
            "n_train": pa.array(np.append(sizes.sum(), sizes[classes]) - n_test),
            "n_test": pa.array(n_test),
            "correct": pa.array(n_correct),
            "accuracy": pa.array(n_correct / np.maximum(n_test, 1), mask=none),
        }
    )

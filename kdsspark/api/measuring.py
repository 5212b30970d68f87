"""Arrays measured in this process, by the code that tasks of ``measure`` and ``summarize`` run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError

from kdsspark.api import values as given
from kdsspark.api.result import Result
from kdsspark.api.values import ArraySource, Classes
from kdsspark.config import Measure
from kdsspark.config.types import Distance, one_line
from kdsspark.output.parquet import conform
from kdsspark.stages.measure.parts import SliceParts, written
from kdsspark.stages.measure.plan import Overlap, Shape, layout_of, slices_of
from kdsspark.stages.measure.rechunk import Columns, LayerSlice, turn
from kdsspark.stages.measure.slice_task import measure_columns
from kdsspark.stages.summarize.summary import Summarized, summarized
from kdsspark.stats.bins import feature_ranges
from kdsspark.stats.summaries.counts import Summary
from kdsspark.tables import KS

DATASET: Final = "given"
"""What the column ``dataset`` of ``thresholds`` says."""

# Values of a block, which a thread reads, transposes and measures: about 64 MiB of float32.
_MOST_VALUES: Final = 1 << 24
_BLOCKS_OF_A_THREAD: Final = 4  # at least, so that threads finish together

_Key = tuple[str, ...]
"""The name of a table, and the value of its column ``labels`` if it has one."""


def measure(
    values: Any,
    labels: Any,
    *,
    ids: Sequence[str] | None = None,
    bins: int = 100,
    shuffles: int = 1,
    seed: int = 0,
    exact: bool = True,
    histograms: bool = False,
    keep_shuffled: bool = False,
    distances: Iterable[Distance] = (),
    threads: int | None = None,
) -> Result:
    """The distances of every unit for every class, and the tables that follow from them.

    ``values`` is [images, units]: an array of numpy, a tensor of torch, a pandas data frame, a
    sparse matrix of scipy, or a mapping of layers to these. Numbers of at most 32 bits are measured
    as float32, others as float64. NaN and infinite values are in no bin; ``ranges`` counts them.
    ``labels`` is [images]: strings, integers or booleans. Or it is [images, classes], booleans, of
    numpy, torch, pandas or scipy.sparse: then an image may have several labels, or none, and each
    class is compared with all images that do not have it. A data frame's columns name the classes;
    others are numbered.

    Nothing is started or written. Every number is that of a run over the same values and labels.
    Shuffles depend on ``seed`` and on the ids of the images. ``ids`` are those of the tables
    (``image_id``); without them, image 0 has the id 0, and so on.

    ``bins`` to ``distances`` mean what they mean in the section ``measure`` of a configuration.
    Histograms and the distances of single shuffles are left out unless they are asked for.
    ``threads`` is the number of threads, by default one for each CPU of this process.

    Raises ValueError for values, labels and settings that cannot be measured.
    """
    settings = _settings(
        bins=bins,
        shuffles=shuffles,
        seed=seed,
        exact=exact,
        histograms=histograms,
        keep_shuffled=keep_shuffled,
        distances=tuple(distances),
    )
    measuring = _Measuring.of(values, labels, ids, settings)
    found = measuring.run(_threads(threads))
    return Result.of(found.tables(), measuring.classes.names)


def _settings(**keys: Any) -> Measure:
    plain = {
        key: value.item() if isinstance(value, np.generic) else value for key, value in keys.items()
    }
    try:
        return Measure(**plain)
    except ValidationError as error:
        raise ValueError(one_line(error.errors(include_url=False)[0], {})) from None


def _threads(wanted: int | None) -> int:
    if wanted is not None and wanted < 1:
        raise ValueError(f"threads must be at least 1, got {wanted}")
    return wanted or len(os.sched_getaffinity(0))


# -- blocks --------------------------------------------------------------------------------------

_Block = tuple[int, str, int, int]
"""The depth and the name of a layer, the first unit of the block and the one after its last."""


@dataclass(frozen=True, eq=False)
class _Measuring:
    """What all blocks share: values by layer, the ids of the images and their classes."""

    shape: Shape
    layers: dict[str, ArraySource]
    keys: npt.NDArray[np.uint64]  # [images, 2]
    classes: Classes

    @staticmethod
    def of(values: Any, labels: Any, ids: Sequence[str] | None, settings: Measure) -> _Measuring:
        """From what :func:`measure` is given; raises as it does."""
        layers = given.sources(values)
        first = next(iter(layers.values()))
        classes = given.classes(labels, first.shape)
        keys = given.image_keys(ids, len(classes.ids))
        widths = [source.shape[1] for source in layers.values()]
        layout = layout_of(widths, [source.dtype.name for source in layers.values()], settings)
        sets = classes.sets
        overlap = None if sets is None else Overlap(sets.n_sets, int(classes.sizes.sum()))
        shape = Shape(len(classes.ids), len(classes.names), layout, settings, overlap)
        return _Measuring(shape, layers, keys, classes)

    def run(self, threads: int) -> _InMemory:
        """Measure all blocks, several at a time."""
        parts = {name: _Parts.open(self.shape.settings) for name in self.layers}
        with ThreadPoolExecutor(threads) as pool:
            for layer, of_block in pool.map(self.block, self.blocks(threads)):
                parts[layer].add(of_block)
        return _InMemory(self.shape, parts, self.classes.sizes)

    def blocks(self, threads: int) -> Iterator[_Block]:
        """Blocks of units of every layer; where they are cut changes no number."""
        widths = self.shape.layout.widths
        fair = -(-sum(widths) // (threads * _BLOCKS_OF_A_THREAD))
        most = max(1, min(fair, _MOST_VALUES // self.shape.n_images))
        for depth, (layer, width) in enumerate(zip(self.layers, widths, strict=True)):
            for start, stop in slices_of(width, most):
                yield depth, layer, start, stop

    def block(self, block: _Block) -> tuple[str, _Parts]:
        """Measure one block; its layer, and what it has of each table."""
        depth, layer, start, stop = block
        values, settings = self.layers[layer].read(start, stop), self.shape.settings
        ranges = feature_ranges(values)
        cut = LayerSlice(layer, depth, start, stop, ranges.lo, ranges.hi)
        sets = self.classes.sets
        columns = Columns.empty(self.shape.n_images, self.shape.layout, [cut], sets)
        columns.keys[:], columns.labels[:] = self.keys, self.classes.ids
        turn(values, cut, settings.bins, columns.blocks[0], slice(None))
        parts = _Parts.open(settings)
        rows = SliceParts(cut, settings.distances, parts.rows, summaries=parts.summaries)
        rows.write_ranges(ranges)
        measure_columns(self.shape, columns, cut, rows)
        return layer, parts


# -- tables in memory ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """The rows of one table, as its files would have them."""

    schema: pa.Schema
    tables: list[pa.Table] = field(default_factory=list)

    def write(self, table: pa.Table) -> None:
        self.tables.append(conform(table, self.schema))


@dataclass(frozen=True)
class _Parts:
    """What a block or a layer has of each table, and the summaries of its distances."""

    rows: dict[_Key, _Rows]
    summaries: dict[int, Summary] = field(default_factory=dict)

    @staticmethod
    def open(settings: Measure) -> _Parts:
        return _Parts({(t.name, *labels): _Rows(t.schema) for t, labels in written(settings)})

    def add(self, other: _Parts) -> None:
        """Take what the next block of the layer has."""
        for key, rows in other.rows.items():
            self.rows[key].tables.extend(rows.tables)
        for shuffle, summary in other.summaries.items():
            before = self.summaries.get(shuffle)
            self.summaries[shuffle] = summary if before is None else before.merge(summary)


@dataclass(frozen=True)
class _InMemory:
    """The measured layers: a :class:`kdsspark.stages.summarize.summary.Measured`."""

    shape: Shape
    parts: dict[str, _Parts]
    sizes: npt.NDArray[np.int64]  # images of each class
    dataset: str = DATASET

    @property
    def layers(self) -> Iterable[str]:
        return self.parts

    @cached_property
    def kinds(self) -> dict[str, str]:
        return dict.fromkeys(self.parts, "other")  # as those of ready-made embeddings

    @property
    def n_images(self) -> int:
        return self.shape.n_images

    @property
    def n_classes(self) -> int:
        return int((self.sizes > 0).sum())

    @property
    def n_labels(self) -> int:
        return int(self.sizes.sum())

    @property
    def classes(self) -> int:
        return self.shape.n_classes

    @property
    def shuffles(self) -> int:
        return self.shape.settings.shuffles

    @property
    def keep_shuffled(self) -> bool:
        return self.shape.settings.keep_shuffled

    def summaries(self, layer: str) -> Iterator[tuple[int, Summary]]:
        yield from self.parts[layer].summaries.items()

    def distances(self, layer: str, labels: str, columns: Sequence[str]) -> pa.Table:
        return pa.concat_tables(self.parts[layer].rows[KS.name, labels].tables).select(columns)

    def tables(self) -> Iterator[Summarized]:
        """All tables: those that were measured, then those that follow from them."""
        for table, labels in written(self.shape.settings):
            key = (table.name, *labels)
            rows = [rows for parts in self.parts.values() for rows in parts.rows[key].tables]
            yield table, labels, pa.concat_tables(rows)
        for table, labels, found in summarized(self):
            yield table, labels, conform(found, table.schema)

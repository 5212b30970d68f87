"""Stage ``measure``: histograms and distances of every feature for every class (driver).

A work item is one layer of one dataset, or a slice of it if the layer does not fit in memory or
would keep one core busy for long (:mod:`.plan`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from kdsspark.config import Config, Measure
from kdsspark.engine.stage import Context, ItemPlan, prune
from kdsspark.engine.work import run_items
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import COLUMNS, SUMMARIES, ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.stages import EMBED, MEASURE, label_sets
from kdsspark.stages.embed import complete
from kdsspark.stages.embed.networks import layer_widths
from kdsspark.stages.embed.shards import ranges
from kdsspark.stages.measure import plan as cutting
from kdsspark.stages.measure import rows
from kdsspark.stages.measure.parts import PARTS, written
from kdsspark.stages.measure.plan import Cut, Overlap, Piece, Shape, Way
from kdsspark.stages.measure.rechunk import (
    ColumnsFile,
    LayerSlice,
    RechunkJob,
    RowRange,
    rechunk,
    slice_name,
)
from kdsspark.stages.measure.slice_task import MeasureJob, MeasureSlice, measure_slice
from kdsspark.stats.ranges import Ranges
from kdsspark.tables import EMBEDDINGS, IMAGES

_FORMAT: Final = 3  # of the files of a slice; if it changes, every output is measured again
_RECHUNK: Final = "rechunk"
"""The receipts of scratch files in column order."""


@dataclass(frozen=True)
class MeasurePlan(ItemPlan):
    """How one dataset by one network is measured."""

    pair: Pair
    layers: tuple[str, ...]
    shape: Shape
    cut: Cut
    files: Mapping[str, int]  # files of `embeddings` -> rows
    digest: str  # of the embeddings and everything else that determines the tables

    @cached_property
    def slices(self) -> dict[str, list[str]]:
        """Layer -> the names of its slices, in the order of the features."""
        return _slice_names(self.layers, self.cut)

    @cached_property
    def row_ranges(self) -> dict[ItemName, tuple[Piece, ...]]:
        """Work item -> the rows it writes in column order; none if slices read ``embeddings``."""
        if self.cut.way is Way.WHOLE:
            return {}
        found = cutting.row_ranges(self.shape, dict(self.files))
        return {self.pair.item(f"rows-{n:06d}"): pieces for n, pieces in enumerate(found)}


def run(context: Context) -> None:
    """Measure every pair whose embeddings or settings have changed.

    Raises :class:`DatasetError` if a pair is not embedded as it is indexed.
    """
    output, settings = context.output, context.config.measure
    pairs = complete.working_pairs(context)
    for pair in pairs:
        if not complete.is_current(output, pair):
            raise DatasetError(
                f"dataset {pair.dataset}: all images must be embedded by {pair.network} as they "
                f"are indexed, run the embed stage first"
            )
    plans = [plan(output, context.config, pair) for pair in pairs]
    todo = [p for p in plans if not p.finished(output)]
    for p in todo:
        prune(output, MEASURE.receipts(output), p.pair, p.digests, _folders(output, p, settings))
    measured = ranges.merged(context.session, output, {p.pair: list(p.files) for p in todo})
    _rechunk(context.session, output, todo, measured)
    _measure(context.session, output, [p for p in todo if p.cut.way is not Way.ROWS], measured)
    rows.run(context.session, output, _items(output, _by_rows(todo), measured))
    for p in todo:
        for folder in _folders(output, p, settings):
            output.clean(folder)  # remove the temporary files of killed workers
    for p in plans:
        _drop_columns(output, p.pair)
    MEASURE.receipts(output).gather()


def plan(output: Output, config: Config, pair: Pair) -> MeasurePlan:
    """How a dataset is measured, done or not.

    Raises :class:`DatasetError` if it is not embedded.
    """
    settings = config.measure
    shards = EMBED.receipts(output).of(pair)
    files = {
        EMBEDDINGS.part(name.part, *pair): shards[name].counts["embedded"]
        for name in sorted(shards)
        if shards[name].counts["embedded"]
    }
    if not files:
        raise DatasetError(
            f"dataset {pair.dataset}: is not embedded by {pair.network}, run embed first"
        )
    widths = layer_widths(output, pair.network)
    n_classes, overlap = _labels(output, config, pair.dataset)
    layout = cutting.layout_of(
        list(widths.values()), _dtypes(output, next(iter(files)), widths), settings
    )
    shape = Shape(sum(files.values()), n_classes, layout, settings, overlap)
    made_of = {
        "format": _FORMAT,
        "shards": sorted((name, shard.digest) for name, shard in shards.items()),
        "classes": shape.n_classes,
        "settings": settings.model_dump(exclude={"memory"}),
    }
    digest = fingerprint(made_of if overlap is None else made_of | {"labels": "several"})
    cut, layers = cutting.cut(shape), tuple(widths)
    names = [name for slices in _slice_names(layers, cut).values() for name in slices]
    digests = {pair.item(name): digest for name in names}
    return MeasurePlan(MEASURE.name, digests, pair, layers, shape, cut, files, digest)


def _labels(output: Output, config: Config, dataset: str) -> tuple[int, Overlap | None]:
    """The number of classes in the index, and how they overlap."""
    if not config.several(dataset):
        classes = parquet.read(output, IMAGES, dataset, columns=["class_id"])["class_id"]
        return (pc.max(classes).as_py() or 0) + 1, None
    found = label_sets.read(output, dataset)
    texts = parquet.read(output, IMAGES, dataset, columns=["class_name"])["class_name"]
    overlap = Overlap(found.sets.n_sets, int(found.sizes(texts).sum()))
    return found.sets.n_classes, overlap


def _slice_names(layers: Sequence[str], cut: Cut) -> dict[str, list[str]]:
    cuts = enumerate(zip(layers, cut.slices, strict=True))
    return {
        layer: [slice_name(depth, *units) for units in slices] for depth, (layer, slices) in cuts
    }


def _dtypes(output: Output, part: str, layers: Mapping[str, int]) -> list[str]:
    """The type of the values of each layer, float32 or float64."""
    schema = parquet.schema(output, part)
    return [np.dtype(schema.field(name).type.value_type.to_pandas_dtype()).name for name in layers]


def _folders(output: Output, planned: MeasurePlan, settings: Measure) -> dict[str, list[str]]:
    """Folder that slices write to -> names of the files that belong there."""
    names = [name.part for name in planned.digests]
    kept = written(settings)
    folders = {
        table.partition(*planned.pair, *labels): names if (table, labels) in kept else []
        for table, labels in PARTS
    }
    return {**folders, output.beside(SUMMARIES, planned.pair): names}


# -- work ----------------------------------------------------------------------------------------


def _by_rows(plans: Sequence[MeasurePlan]) -> list[MeasurePlan]:
    return [p for p in plans if p.cut.way is Way.ROWS]


def _measure(
    session: Any, output: Output, plans: Sequence[MeasurePlan], measured: Mapping[Pair, Ranges]
) -> None:
    items = _items(output, plans, measured)
    run_items(session, MEASURE.receipts(output), items, measure_slice, "features")


def _items(
    output: Output, plans: Sequence[MeasurePlan], measured: Mapping[Pair, Ranges]
) -> list[MeasureSlice]:
    """The slices of all plans, the largest first, so that cores finish together."""
    sized = []
    for p in plans:
        job = MeasureJob(output, p.pair, p.shape, _pieces(p), _files(output, p))
        for cut, found in _slices(p, measured[p.pair]):
            n = cut.stop - cut.start
            name = p.pair.item(cut.name)
            item = MeasureSlice(
                name=name, digest=p.digest, size=n, job=job, slice=cut, ranges=found
            )
            sized.append((n * p.shape.n_images, item))
    return [item for _, item in sorted(sized, key=lambda item: -item[0])]


def _slices(planned: MeasurePlan, measured: Ranges) -> list[tuple[LayerSlice, Ranges]]:
    found, offset = [], 0
    for depth, (layer, slices) in enumerate(zip(planned.layers, planned.cut.slices, strict=True)):
        for start, stop in slices:
            part = ranges.some(measured, offset + start, offset + stop)
            found.append((LayerSlice(layer, depth, start, stop, part.lo, part.hi), part))
        offset += planned.shape.layout.widths[depth]
    return found


def _pieces(planned: MeasurePlan) -> tuple[Piece, ...]:
    if planned.cut.way is not Way.WHOLE:
        return ()
    return tuple(Piece(part, 0, n) for part, n in planned.files.items())


def _files(output: Output, planned: MeasurePlan) -> tuple[ColumnsFile, ...]:
    return tuple(
        ColumnsFile(output.columns(planned.pair, name.part), sum(piece.n_rows for piece in pieces))
        for name, pieces in planned.row_ranges.items()
    )


# -- columns -------------------------------------------------------------------------------------


def _rechunk(
    session: Any, output: Output, plans: Sequence[MeasurePlan], measured: Mapping[Pair, Ranges]
) -> None:
    """Write the embeddings in column order, for the plans that want it."""
    items = []
    for p in plans:
        whole = [((0, width),) for width in p.shape.layout.widths]
        layers = _slices(replace(p, cut=Cut(p.cut.way, tuple(whole))), measured[p.pair])
        bins = p.shape.settings.bins
        sets_of = None if p.shape.overlap is None else p.pair.dataset
        whole_layers = tuple(layer for layer, _ in layers)
        job = RechunkJob(output, p.shape.layout, bins, whole_layers, sets_of)
        items += [
            RowRange(
                name=name,
                digest=fingerprint([p.digest, [(q.part, q.start, q.stop) for q in pieces]]),
                size=sum(piece.n_rows for piece in pieces),
                job=job,
                pieces=pieces,
                path=output.columns(p.pair, name.part),
            )
            for name, pieces in p.row_ranges.items()
        ]
    run_items(session, output.receipts(_RECHUNK), items, rechunk, "images")


def _drop_columns(output: Output, pair: Pair) -> None:
    """Remove the scratch files of a measured dataset; their receipts go first."""
    receipts = output.receipts(_RECHUNK)
    for name in receipts.of(pair):
        receipts.remove(name)
    output.remove(output.beside(COLUMNS, pair))

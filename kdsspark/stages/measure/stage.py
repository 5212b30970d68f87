"""Stage ``measure``: histograms and distances of every feature for every class (driver).

A unit is one layer of one dataset, or a slice of its units where memory, or an even load, asks
for it (:mod:`.plan`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.config import Measure
from kdsspark.engine import work as units
from kdsspark.engine.work import Unit
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet, receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages.embed import complete as embedded
from kdsspark.stages.embed import ranges as shard_ranges
from kdsspark.stages.measure import plan as measure_plan
from kdsspark.stages.measure import rows as measure_rows
from kdsspark.stages.measure import summaries
from kdsspark.stages.measure.parts import PARTS, written
from kdsspark.stages.measure.plan import Cut, Piece, Shape, Way
from kdsspark.stages.measure.rechunk import ColumnsFile, LayerSlice, RechunkJob, rechunk, slice_name
from kdsspark.stages.measure.slice_task import MeasureJob, measure_slice
from kdsspark.stats.bins import Ranges
from kdsspark.tables import EMBEDDINGS, FEATURES, IMAGES

_FORMAT: Final = 2  # of what a slice writes; another number makes every output measure again


@dataclass(frozen=True)
class Plan:
    """How one dataset by one network is measured."""

    pair: tuple[str, str]  # network, dataset
    layers: tuple[str, ...]
    shape: Shape
    cut: Cut
    parts: Mapping[str, int]  # files of `embeddings` -> rows
    digest: str  # of the embeddings and everything else that determines the tables

    @property
    def prefix(self) -> str:
        """Of the names of its units."""
        return "/".join(self.pair)

    @cached_property
    def slices(self) -> dict[str, list[str]]:
        """Layer -> its slices, as files are named, in the order of the features."""
        cuts = enumerate(zip(self.layers, self.cut.slices, strict=True))
        return {
            layer: [slice_name(depth, *units) for units in slices]
            for depth, (layer, slices) in cuts
        }

    @property
    def names(self) -> list[str]:
        """All slices."""
        return [name for slices in self.slices.values() for name in slices]

    @property
    def digests(self) -> dict[str, str]:
        """Unit -> digest: what the receipts say when all is measured."""
        return {f"{self.prefix}/{name}": self.digest for name in self.names}

    @cached_property
    def row_ranges(self) -> dict[str, tuple[Piece, ...]]:
        """Unit -> rows that it turns to columns; none where slices read the embeddings."""
        if self.cut.way is Way.WHOLE:
            return {}
        found = measure_plan.row_ranges(self.shape, dict(self.parts))
        return {f"{self.prefix}/rows-{n:06d}": pieces for n, pieces in enumerate(found)}


def measure(
    session: SparkSession, store: Store, pairs: Sequence[tuple[str, str]], settings: Measure
) -> list[Receipt]:
    """Measure every (network, dataset); :class:`DatasetError` where embeddings are not current."""
    for network, dataset in pairs:
        if not embedded.is_current(store, network, dataset):
            raise DatasetError(
                f"dataset {dataset}: all images must be embedded by {network} as they are "
                f"indexed, run the embed stage first"
            )
    plans = [plan(store, pair, settings) for pair in pairs]
    todo = [p for p in plans if not units.finished(store, receipts.MEASURE, p.digests)]
    for p in todo:
        # Of slices that are no longer cut so.
        units.prune(store, receipts.MEASURE, p.prefix, p.digests, _folders(p, settings))
    ranges = shard_ranges.merged(session, store, {p.pair: list(p.parts) for p in todo})
    _rechunk(session, store, todo, ranges)
    work = {way: _units(store, [p for p in plans if p.cut.way is way], ranges) for way in Way}
    measured = units.run(
        session,
        store,
        receipts.MEASURE,
        [*work[Way.WHOLE], *work[Way.COLUMNS]],
        measure_slice,
        "features",
    )
    if work[Way.ROWS]:
        measured += measure_rows.run(session, store, work[Way.ROWS])
    for p in todo:
        for folder in _folders(p, settings):
            store.clean(folder)  # of what killed workers left
    for p in plans:
        _drop_columns(store, p)
    return measured


def plan(store: Store, pair: tuple[str, str], settings: Measure) -> Plan:
    """How a dataset is measured, whether that is done or not."""
    network, dataset = pair
    shards = receipts.read(store, receipts.EMBED, f"{network}/{dataset}").values()
    folder = EMBEDDINGS.partition(network, dataset)
    parts = {
        f"{folder}/{shard.unit.rpartition('/')[2]}.parquet": shard.counts["embedded"]
        for shard in sorted(shards, key=lambda shard: shard.unit)
        if shard.counts["embedded"]
    }
    if not parts:
        raise DatasetError(f"dataset {dataset}: is not embedded by {network}, run embed first")
    widths = layer_widths(store, network)
    classes = parquet.read(store, IMAGES, dataset, columns=["class_id"])["class_id"]
    layout = measure_plan.layout_of(
        list(widths.values()), _dtypes(store, next(iter(parts)), widths), settings
    )
    shape = Shape(sum(parts.values()), (pc.max(classes).as_py() or 0) + 1, layout, settings)
    digest = fingerprint(
        {
            "format": _FORMAT,
            "shards": sorted((shard.unit, shard.digest) for shard in shards),
            "classes": shape.n_classes,
            "settings": settings.model_dump(exclude={"memory"}),
        }
    )
    return Plan(pair, tuple(widths), shape, measure_plan.cut(shape), parts, digest)


def _dtypes(store: Store, part: str, layers: Mapping[str, int]) -> list[str]:
    """float32 or float64, for each layer."""
    schema = parquet.schema(store, part)
    return [np.dtype(schema.field(name).type.value_type.to_pandas_dtype()).name for name in layers]


def layer_widths(store: Store, network: str) -> dict[str, int]:
    """Layer -> number of units, in the order of the embedding."""
    features = parquet.read(store, FEATURES, network, columns=["layer", "depth"])
    counts = features.group_by(["layer", "depth"]).aggregate([([], "count_all")])
    ordered = counts.sort_by("depth")
    return dict(zip(ordered["layer"].to_pylist(), ordered["count_all"].to_pylist(), strict=True))


def _folders(planned: Plan, settings: Measure) -> dict[str, list[str]]:
    """Where slices write -> the parts that belong there."""
    kept = written(settings)
    folders = {
        table.partition(*planned.pair, *labels): planned.names if (table, labels) in kept else []
        for table, labels in PARTS
    }
    return {**folders, summaries.folder_of(planned.pair): planned.names}


# -- work ----------------------------------------------------------------------------------------


def _units(
    store: Store, plans: Sequence[Plan], ranges: Mapping[tuple[str, str], Ranges]
) -> list[Unit]:
    """Every slice, the largest first, so that cores end together; done ones without work."""
    sized = []
    for p in plans:
        job = MeasureJob(store, p.pair, p.shape, _pieces(p), _files(p))
        for cut, found in _slices(p, ranges[p.pair]) if p.pair in ranges else ():
            n = cut.stop - cut.start
            unit = Unit(f"{p.prefix}/{cut.name}", p.digest, (job, cut, found), n)
            sized.append((n * p.shape.n_images, unit))
        if p.pair not in ranges:
            sized += [(0, Unit(unit, digest, None)) for unit, digest in p.digests.items()]
    return [unit for _, unit in sorted(sized, key=lambda item: -item[0])]


def _slices(planned: Plan, ranges: Ranges) -> list[tuple[LayerSlice, Ranges]]:
    found, offset = [], 0
    for depth, (layer, slices) in enumerate(zip(planned.layers, planned.cut.slices, strict=True)):
        for start, stop in slices:
            part = shard_ranges.some(ranges, offset + start, offset + stop)
            found.append((LayerSlice(layer, depth, start, stop, part.lo, part.hi), part))
        offset += planned.shape.layout.widths[depth]
    return found


def _pieces(planned: Plan) -> tuple[Piece, ...]:
    if planned.cut.way is not Way.WHOLE:
        return ()
    return tuple(Piece(part, 0, rows) for part, rows in planned.parts.items())


def _files(planned: Plan) -> tuple[ColumnsFile, ...]:
    return tuple(
        ColumnsFile(_columns_path(unit), sum(piece.stop - piece.start for piece in pieces))
        for unit, pieces in planned.row_ranges.items()
    )


# -- columns -------------------------------------------------------------------------------------


def _columns_path(unit: str) -> str:
    network, dataset, name = unit.split("/")
    return f"_columns/network={network}/dataset={dataset}/{name}.bin"


def _rechunk(
    session: SparkSession,
    store: Store,
    plans: Sequence[Plan],
    ranges: Mapping[tuple[str, str], Ranges],
) -> None:
    """Turn the rows of all that are measured by columns."""
    work = []
    for p in plans:
        whole = [((0, width),) for width in p.shape.layout.widths]
        layers = _slices(replace(p, cut=Cut(p.cut.way, tuple(whole))), ranges[p.pair])
        job = RechunkJob(
            store, p.shape.layout, p.shape.settings.bins, tuple(layer for layer, _ in layers)
        )
        for unit, pieces in p.row_ranges.items():
            digest = fingerprint([p.digest, [(q.part, q.start, q.stop) for q in pieces]])
            rows = sum(piece.stop - piece.start for piece in pieces)
            work.append(Unit(unit, digest, (job, pieces, _columns_path(unit)), rows))
    if work:
        units.run(session, store, receipts.RECHUNK, work, rechunk, "images")


def _drop_columns(store: Store, planned: Plan) -> None:
    """Remove the scratch files of a dataset that is measured; first what says they are there."""
    for unit in receipts.read(store, receipts.RECHUNK, planned.prefix):
        receipts.remove(store, receipts.RECHUNK, unit)
    network, dataset = planned.pair
    store.remove(f"_columns/network={network}/dataset={dataset}")

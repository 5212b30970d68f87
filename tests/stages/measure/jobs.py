"""The work items of ``measure`` over a dataset that is written without Spark."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from kdsspark.config import Measure
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages.embed.shards import ranges
from kdsspark.stages.measure.plan import Piece, Shape, layout_of
from kdsspark.stages.measure.rechunk import ColumnsFile, LayerSlice, RechunkJob, RowRange, rechunk
from kdsspark.stages.measure.slice_task import MeasureJob, MeasureSlice
from kdsspark.tables import Table
from tests.stages.embedded import PAIR, Embedded, ranges_of


def measure_job(data: Embedded, **settings: Any) -> MeasureJob:
    """A job that reads the slices from ``embeddings``."""
    measure = Measure.model_validate(settings)
    widths = [values.shape[1] for values in data.layers.values()]
    dtypes = [values.dtype.name for values in data.layers.values()]
    layout = layout_of(widths, dtypes, measure)
    shape = Shape(len(data.labels), int(data.labels.max()) + 1, layout, measure)
    pieces = tuple(Piece(path, 0, rows) for path, rows in data.parts.items())
    return MeasureJob(data.output, PAIR, shape, pieces)


def layer_slice(data: Embedded, layer: str, start: int, stop: int) -> LayerSlice:
    found = ranges.some(ranges_of(data.layers[layer]), start, stop)
    return LayerSlice(layer, list(data.layers).index(layer), start, stop, found.lo, found.hi)


def whole_layers(data: Embedded) -> tuple[LayerSlice, ...]:
    return tuple(
        layer_slice(data, layer, 0, values.shape[1]) for layer, values in data.layers.items()
    )


def measured_slice(
    data: Embedded, job: MeasureJob, layer: str, start: int, stop: int
) -> MeasureSlice:
    cut = layer_slice(data, layer, start, stop)
    limits = ranges.some(ranges_of(data.layers[layer]), start, stop)
    return MeasureSlice(name=PAIR.item(cut.name), digest="d", job=job, slice=cut, ranges=limits)


def by_columns(data: Embedded, job: MeasureJob, *ranges_of_rows: tuple[Piece, ...]) -> MeasureJob:
    """The same job, with one scratch file for each of the ranges; it reads from these."""
    layout, bins = job.shape.layout, job.shape.settings.bins
    shared = RechunkJob(data.output, layout, bins, whole_layers(data))
    files = []
    for number, pieces in enumerate(ranges_of_rows):
        path = data.output.columns(PAIR, f"rows-{number}")
        name = PAIR.item(f"rows-{number}")
        done = rechunk(RowRange(name=name, digest="d", job=shared, pieces=pieces, path=path))
        files.append(ColumnsFile(path, done.counts["images"]))
    return replace(job, pieces=(), files=tuple(files))


def frame(output: Output, table: Table) -> pd.DataFrame:
    return parquet.read(output, table, *PAIR).to_pandas()

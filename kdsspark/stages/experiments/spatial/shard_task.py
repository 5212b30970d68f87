"""What an executor does with one shard: put its images through the network, and keep their maps.

A file has a row for each image that could be read: its id, its class, and lists of float32. Whole
maps have one list a layer; pooled over grids, one for each layer, grid and kind of pooling. What
the maps of each layer were stands in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.images.clock import Clock
from kdsspark.network.map_shape import GRIDS, MapShape
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed import again, image_job
from kdsspark.stages.embed.again import Readable
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import IMAGES

_SHAPES: Final = b"shapes"
_POOLINGS: Final = ("mean", "max")  # in the order of network.activations.cells

Layers = Mapping[str, npt.NDArray[np.float32]]
"""Layer -> what the extractor makes of some images."""

See = Callable[[Sequence[npt.NDArray[Any]]], Layers]
"""What makes layers of the pixels of some images, such as an extractor."""

Columns = Mapping[str, tuple[str, slice]]
"""Column -> its layer, and what of the second axis of the layer's array it has."""


@dataclass(frozen=True, kw_only=True)
class ShardOfMaps(WorkItem):
    """One shard to read again; ``size`` counts the images that are embedded."""

    shard: Shard


@dataclass(frozen=True)
class WriteMaps:
    """Writes the maps of shards; the networks travel once (executor)."""

    output: Output
    folder: str  # of internal files
    layers: Mapping[Pair, tuple[str, ...]]  # that are wanted
    jobs: Mapping[Pair, ImageJob]

    def __call__(self, item: ShardOfMaps) -> Outcome:
        """Write the maps of one shard; images that can no longer be read are left out."""
        from kdsspark.network.layers.sizes import map_shapes  # torch, which the driver does without

        job = self.jobs[item.name.pair]
        found = map_shapes(job.spec)
        shapes = {name: found[name] for name in self.layers[job.pair]}
        columns = columns_of(job.spec.pooling, shapes)
        path = self.output.beside(self.folder, job.pair, item.name.part)
        return write_seen(item, job, path, image_job.extractor, columns, schema_of(columns, shapes))


def write_seen(
    item: ShardOfMaps,
    job: ImageJob,
    path: str,
    seeing: Callable[[ImageJob], See],
    columns: Columns,
    schema: pa.Schema,
) -> Outcome:
    """Write what is seen of the images of one shard; those that cannot be read are left out."""
    clock = Clock()
    try:
        with (
            parquet.writer(job.output, path, schema) as part,
            again.batches(job, item.shard, clock) as batches,
        ):
            for images in batches:
                with clock.time("compute"):
                    layers = seeing(job)([image.pixels for image in images])
                with clock.time("write"):
                    part.write(rows_of(images, layers, columns, schema))
    finally:
        gpus.release()
    return Outcome({"images": part.rows, "failed": item.size - part.rows}, clock.seconds)


def columns_of(pooling: str, shapes: Mapping[str, MapShape]) -> Columns:
    """Column -> its layer, and what of the second axis of the layer's array it has."""
    if pooling != GRIDS:
        return {layer: (layer, slice(None)) for layer in shapes}
    columns = {}
    for layer, shape in shapes.items():
        start = 0
        for side in shape.grids:
            for name in _POOLINGS:
                columns[grid_column(layer, name, side)] = layer, slice(start, start + side**2)
                start += side**2
    return columns


def grid_column(layer: str, pooling: str, side: int) -> str:
    """The column of a layer that is pooled over the cells of a grid."""
    return f"{layer} {pooling} {side}x{side}"


def read_shape(output: Output, path: str, layer: str) -> MapShape:
    """What the maps of a layer are that a file was written of."""
    return MapShape(*json.loads(parquet.schema(output, path).metadata[_SHAPES])[layer])


def schema_of(columns: Columns, shapes: Mapping[str, MapShape]) -> pa.Schema:
    """The schema of a file with these columns, of maps of these shapes."""
    values = pa.list_(pa.field("element", pa.float32(), nullable=False))
    fields = [IMAGES.schema.field(name) for name in ("image_id", "class_id")]
    fields += [pa.field(name, values, nullable=False) for name in columns]
    return pa.schema(fields, {_SHAPES: json.dumps(shapes).encode()})


def rows_of(
    images: Sequence[Readable], found: Layers, columns: Columns, schema: pa.Schema
) -> pa.Table:
    """The rows of some images: each column as one flat list an image."""
    arrays = [
        pa.array([image.id for image in images]),
        pa.array([image.class_id for image in images], pa.int32()),
    ]
    for name, (layer, some) in columns.items():
        values = np.ascontiguousarray(found[layer][:, some]).reshape(len(images), -1)
        offsets = np.arange(len(images) + 1, dtype=np.int32) * values.shape[1]
        kind = schema.field(name).type
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()), type=kind)
        arrays.append(lists)
    return pa.Table.from_arrays(arrays, schema=schema)

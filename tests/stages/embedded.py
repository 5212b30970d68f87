"""One dataset as ``embed`` leaves it, written by pyarrow: no Spark, no network, no index stage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stats.ranges import Ranges
from kdsspark.tables import EMBEDDINGS, IMAGES, with_layers

PAIR = Pair("clip", "birds")
Layers = Mapping[str, NDArray[Any]]
"""Layer -> [images, units]."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """A dataset in ``embeddings`` and ``images``; all arrays are in the order of the files."""

    output: Output
    labels: NDArray[np.int32]
    layers: Layers
    parts: Mapping[str, int]  # file -> rows

    @property
    def keys(self) -> NDArray[np.uint64]:
        """The two halves of every id: [images, 2]."""
        return image_keys(len(self.labels))


def image_id(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


def image_keys(images: int) -> NDArray[np.uint64]:
    ids = [image_id(number) for number in range(images)]
    return np.array([(int(text[:16], 16), int(text[16:], 16)) for text in ids], np.uint64)


def embed(
    folder: Path,
    layers: Layers,
    labels: Sequence[int],
    rows_of_parts: Sequence[int],
    row_group: int = 7,
    pair: Pair = PAIR,
) -> Embedded:
    """Write the tables; row groups are small, so that nothing works only for one of them."""
    output = Output.at(str(folder))
    images = pa.table(
        {
            "image_id": [image_id(number) for number in range(len(labels))],
            "class_id": pa.array(labels, pa.int32()),
            "class_name": [f"class {label}" for label in labels],
            "version": ["1"] * len(labels),
            "content": [f"{number:032x}" for number in range(len(labels))],
            "computed_on": pa.nulls(len(labels), pa.string()),
        }
    )
    indexed = images.drop(["content", "computed_on"]).append_column("uri", images["content"])
    _write(output, IMAGES.part("part-0", pair.dataset), indexed.select(IMAGES.schema.names), 1000)
    types = {name: pa.from_numpy_dtype(values.dtype) for name, values in layers.items()}
    lists = {
        name: pa.array(values.tolist(), pa.list_(types[name])) for name, values in layers.items()
    }
    for name, values in lists.items():
        images = images.append_column(name, values)
    images = images.cast(with_layers(EMBEDDINGS, types))
    parts, start = {}, 0
    for number, rows in enumerate(rows_of_parts):
        path = EMBEDDINGS.part(f"shard-{number}", *pair)
        _write(output, path, images.slice(start, rows), row_group)
        parts[path], start = rows, start + rows
    assert start == len(labels)
    return Embedded(output, np.array(labels, np.int32), layers, parts)


def _write(output: Output, path: str, table: pa.Table, row_group: int) -> None:
    where = Path(output.path(path))
    where.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, where, row_group_size=row_group)


def ranges_of(values: NDArray[Any]) -> Ranges:
    """The ranges of [images, units] by numpy, value by value."""
    columns = [column[np.isfinite(column)].astype(np.float64) for column in values.T]
    lo = np.array([column.min() if column.size else np.nan for column in columns])
    hi = np.array([column.max() if column.size else np.nan for column in columns])
    n = np.array([column.size for column in columns])
    return Ranges(lo, hi, n, len(values) - n)


def awkward(images: int, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Layers with one feature each of what real activations do, and of what they should not."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.normal(size=images),
        rng.standard_cauchy(images),
        np.where(rng.random(images) < 0.85, 0, rng.exponential(size=images)),
        np.full(images, 3.5),
        np.where(rng.random(images) < 0.2, np.nan, rng.normal(size=images)),
        np.where(rng.random(images) < 0.1, np.inf, -np.abs(rng.normal(size=images))),
        np.full(images, np.nan),
        rng.integers(0, 4, images).astype(float),
        np.where(np.arange(images) == 0, -np.inf, rng.lognormal(0, 2, images)),
    ]
    return {
        "relu": np.stack(columns, 1).astype(np.float32),
        "double": np.stack([np.sqrt(rng.random(images)), columns[7] / 3], 1),
    }

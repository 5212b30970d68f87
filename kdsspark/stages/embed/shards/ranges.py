"""The range of every feature, kept beside each shard of embeddings and merged when measured.

``_ranges/network=<n>/dataset=<d>/<shard>.parquet`` has the columns of ``ranges`` over the images
of one shard. ``embed`` writes it with the shard. Where it was lost, the next measurement reads the
shard once and writes it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from kdsspark.engine.fold import fold
from kdsspark.engine.work import Session
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import RANGES as FOLDER
from kdsspark.output.names import Pair
from kdsspark.output.store import Store
from kdsspark.stages.embed.shards.range_rows import ranges_table
from kdsspark.stats.ranges import Ranges
from kdsspark.tables import RANGES

_FIELDS = ("lo", "hi", "n", "n_nonfinite")


def path_of(part: str) -> str:
    """The file of ranges that belongs to a file of ``embeddings``."""
    return f"{FOLDER}/{part.partition('/')[2]}"


def write(store: Store, part: str, tables: Iterable[pa.Table]) -> Ranges:
    """Keep the ranges of a shard's rows (tables of columns of ``embeddings``) (executor)."""
    found = reduce(_merge_layers, (_of_rows(rows) for rows in tables))
    table = pa.concat_tables(ranges_table(layer, 0, ranges) for layer, ranges in found.items())
    parquet.write(store, path_of(part), table, RANGES.schema)
    return concatenated(list(found.values()))


def _of_rows(rows: pa.Table) -> dict[str, Ranges]:
    """Layer -> ranges, in the order of the columns."""
    from kdsspark.stats.bins import feature_ranges  # compiled, which drivers do without

    layers = [field.name for field in rows.schema if pt.is_list(field.type)]
    return {name: feature_ranges(flat_values(rows[name]).reshape(len(rows), -1)) for name in layers}


def _merge_layers(first: dict[str, Ranges], second: dict[str, Ranges]) -> dict[str, Ranges]:
    return {layer: ranges.merge(second[layer]) for layer, ranges in first.items()}


def merged(
    session: Session, store: Store, parts: Mapping[Pair, Sequence[str]]
) -> dict[Pair, Ranges]:
    """The ranges of all features, layer after layer, over the files of each pair (driver)."""
    return fold(session, "ranges", parts, partial(_of_shard, store), Ranges.merge)


def _of_shard(store: Store, _pair: Pair, part: str) -> Iterator[Ranges]:
    try:
        table = parquet.read_file(store, path_of(part), _FIELDS)
    except FileNotFoundError:
        yield write(store, part, parquet.row_groups(store, part))
    else:
        yield Ranges(*(table[name].to_numpy() for name in _FIELDS))  # null reads as NaN


def concatenated(ranges: Sequence[Ranges]) -> Ranges:
    """The ranges of several layers as one."""
    return Ranges(*(np.concatenate([getattr(r, name) for r in ranges]) for name in _FIELDS))


def some(ranges: Ranges, start: int, stop: int) -> Ranges:
    """The ranges of features ``start`` to ``stop``."""
    return Ranges(*(getattr(ranges, name)[start:stop] for name in _FIELDS))

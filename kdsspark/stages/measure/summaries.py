"""The summaries that ``measure`` hands on to ``summarize``: counts of the distances of a slice.

``_summaries/network=<n>/dataset=<d>/<slice>.parquet`` has one row per labeling. ``summarize`` adds
them up and reads no distance of a shuffle, so ``measure.keep_shuffled`` may be false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from kdsspark.output import parquet
from kdsspark.output.names import SUMMARIES, Pair
from kdsspark.output.output import Output
from kdsspark.stats.summaries.counts import Summary
from kdsspark.stats.summaries.thresholds import SURVIVAL_GRID, Tally

_COUNTS: Final = pa.list_(pa.field("element", pa.int64(), nullable=False))
_SCHEMA: Final = pa.schema(
    [
        pa.field("shuffle", pa.int32(), nullable=False),
        pa.field("n_pairs", pa.int64(), nullable=False),
        pa.field("reach", pa.float64(), nullable=False),
        pa.field("plus", _COUNTS, nullable=False),  # [1001]
        pa.field("minus", _COUNTS, nullable=False),  # [1001]
        pa.field("survival", _COUNTS, nullable=False),  # [classes x signs x 101]
        pa.field("distribution", _COUNTS, nullable=False),  # [200]
    ]
)


def write(output: Output, pair: Pair, name: str, found: Mapping[int, Summary]) -> None:
    """Write the summaries of a slice; ``found`` is shuffle -> summary (executor)."""
    rows = [
        {
            "shuffle": shuffle,
            "n_pairs": summary.tally.n_pairs,
            "reach": summary.tally.reach,
            "plus": summary.tally.plus,
            "minus": summary.tally.minus,
            "survival": summary.survival.ravel(),
            "distribution": summary.distribution,
        }
        for shuffle, summary in sorted(found.items())
    ]
    tables = (pa.Table.from_pylist([row], schema=_SCHEMA) for row in rows)
    parquet.write(output, output.beside(SUMMARIES, pair, name), tables, _SCHEMA)


def read(output: Output, pair: Pair, name: str) -> Iterator[tuple[int, Summary]]:
    """Read the summaries of a slice: shuffle and summary, one after the other (executor)."""
    for row in parquet.row_groups(output, output.beside(SUMMARIES, pair, name)):
        arrays = {column: row[column].combine_chunks().flatten().to_numpy() for column in _LISTS}
        n_pairs, reach = row["n_pairs"][0].as_py(), row["reach"][0].as_py()
        tally = Tally(arrays["plus"], arrays["minus"], n_pairs, reach)
        survival = arrays["survival"].reshape(-1, 2, SURVIVAL_GRID.size)
        yield row["shuffle"][0].as_py(), Summary(tally, survival, arrays["distribution"])


_LISTS: Final = [field.name for field in _SCHEMA if pa.types.is_list(field.type)]

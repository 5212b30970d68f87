"""Test every distance of a dataset against chance, as a part of ``summarize`` (executor)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.parquet import nullable
from kdsspark.stats.summaries.significance import p_values, q_values
from kdsspark.tables import KS, SIGNIFICANCE

FALSE_DISCOVERY_RATE: Final = 0.05


def write_significance(
    output: Output, pair: Pair, layers: Sequence[Sequence[str]]
) -> dict[str, int]:
    """Write the dataset's part of ``significance``.

    ``layers`` has the names of the measured slices of each layer. Returns the number of pairs with
    a false discovery rate below 5 %, for the columns ``significant`` (over all layers together) and
    ``significant_by_layer`` of ``thresholds``.
    """
    tables = [
        _tested(output, [KS.part(name, *pair, "true") for name in slices]) for slices in layers
    ]
    rows = pa.concat_tables(tables)
    q = q_values(rows["p"].to_numpy())  # null reads as NaN
    rows = rows.append_column("q", nullable(q))
    parquet.write(output, SIGNIFICANCE.part("part-0", *pair), rows, SIGNIFICANCE.schema)
    q_layer = rows["q_layer"].to_numpy()
    return {
        "significant": int((q < FALSE_DISCOVERY_RATE).sum()),
        "significant_by_layer": int((q_layer < FALSE_DISCOVERY_RATE).sum()),
    }


def _tested(output: Output, paths: Sequence[str]) -> pa.Table:
    """The pairs of one layer, with ``p`` and ``q_layer``; exact distances are used if there."""
    key = ["layer", "unit", "class_id"]
    columns = [*key, "n_inner", "n_outer", "ks", "ks_exact"]
    rows = pa.concat_tables([parquet.read_file(output, path, columns) for path in paths])
    ks = pc.coalesce(rows["ks_exact"], rows["ks"]).to_numpy()
    p = p_values(ks, rows["n_inner"].to_numpy(), rows["n_outer"].to_numpy())
    tested = rows.select(key).append_column("p", nullable(p))
    return tested.append_column("q_layer", nullable(q_values(p)))

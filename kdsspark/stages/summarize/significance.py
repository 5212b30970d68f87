"""Test every distance of a dataset against chance, as a part of ``summarize`` (executor)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.output.parquet import nullable
from kdsspark.stats.summaries.significance import p_values, q_values

FALSE_DISCOVERY_RATE: Final = 0.05
_KEY: Final = ("layer", "unit", "class_id")
TESTED: Final = (*_KEY, "n_inner", "n_outer", "ks", "ks_exact")
"""The columns of ``ks`` that are needed."""


def significance(layers: Iterable[pa.Table]) -> tuple[pa.Table, dict[str, int]]:
    """The rows of ``significance``, and how many are below a false discovery rate of 5 %.

    ``layers`` has the true distances of each layer, with the columns ``TESTED``. The numbers are
    those of the columns ``significant`` (over all layers together) and ``significant_by_layer`` of
    ``thresholds``.
    """
    rows = pa.concat_tables(_tested(layer) for layer in layers)
    q = q_values(rows["p"].to_numpy())  # null reads as NaN
    rows = rows.append_column("q", nullable(q))
    q_layer = rows["q_layer"].to_numpy()
    return rows, {
        "significant": int((q < FALSE_DISCOVERY_RATE).sum()),
        "significant_by_layer": int((q_layer < FALSE_DISCOVERY_RATE).sum()),
    }


def _tested(rows: pa.Table) -> pa.Table:
    """The pairs of one layer, with ``p`` and ``q_layer``; exact distances are used if there."""
    ks = pc.coalesce(rows["ks_exact"], rows["ks"]).to_numpy()
    p = p_values(ks, rows["n_inner"].to_numpy(), rows["n_outer"].to_numpy())
    tested = rows.select(list(_KEY)).append_column("p", nullable(p))
    return tested.append_column("q_layer", nullable(q_values(p)))

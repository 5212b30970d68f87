"""Test every distance of a dataset against chance, as a part of ``summarize`` (executor)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.output.parquet import nullable
from kdsspark.stats.summaries.significance import max_p_values, p_values, q_values, reach

FALSE_DISCOVERY_RATE: Final = 0.05
_KEY: Final = ("layer", "unit", "class_id")
TESTED: Final = (*_KEY, "n_inner", "n_outer", "ks", "ks_exact")
"""The columns of ``ks`` that are needed."""


def significance(
    layers: Iterable[pa.Table], reached: npt.NDArray[np.float64]
) -> tuple[pa.Table, dict[str, int]]:
    """The rows of ``significance``, and how many are below a false discovery rate of 5 %.

    ``layers`` has the true distances of each layer, with the columns ``TESTED``, and ``reached``
    [layers, shuffles] the largest :func:`~kdsspark.stats.summaries.significance.reach` under each
    shuffle. The numbers are those of the columns ``significant`` (over all layers together) and
    ``significant_by_layer`` of ``thresholds``.
    """
    in_all = reached.max(0)
    rows = pa.concat_tables(
        _tested(layer, in_layer, in_all) for layer, in_layer in zip(layers, reached, strict=True)
    )
    q = q_values(rows["p"].to_numpy())  # null reads as NaN
    rows = rows.append_column("q", nullable(q))
    q_layer = rows["q_layer"].to_numpy()
    return rows, {
        "significant": int((q < FALSE_DISCOVERY_RATE).sum()),
        "significant_by_layer": int((q_layer < FALSE_DISCOVERY_RATE).sum()),
    }


def _tested(
    rows: pa.Table, in_layer: npt.NDArray[np.float64], in_all: npt.NDArray[np.float64]
) -> pa.Table:
    """The pairs of one layer, with all columns but ``q``; exact distances are used if there.

    ``in_layer`` and ``in_all`` [shuffles] are the largest reach in the layer and in all layers.
    """
    ks = pc.coalesce(rows["ks_exact"], rows["ks"]).to_numpy()
    sizes = rows["n_inner"].to_numpy(), rows["n_outer"].to_numpy()
    p = p_values(ks, *sizes)
    reached = reach(rows["ks"].to_numpy(), *sizes)
    found = {
        "p": p,
        "q_layer": q_values(p),
        "p_max": max_p_values(reached, in_all),
        "p_max_layer": max_p_values(reached, in_layer),
    }
    tested = rows.select(list(_KEY))
    for name, values in found.items():
        tested = tested.append_column(name, nullable(values))
    return tested

"""Test every distance of a dataset against chance, as a part of ``summarize`` (executor)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.parquet import nullable
from kdsspark.stats.summaries.significance import max_p_values, p_values, q_values, reach
from kdsspark.tables import KS, SIGNIFICANCE

FALSE_DISCOVERY_RATE: Final = 0.05


def write_significance(
    output: Output,
    pair: Pair,
    layers: Sequence[Sequence[str]],
    reached: npt.NDArray[np.float64],
) -> dict[str, int]:
    """Write the dataset's part of ``significance``.

    ``layers`` has the names of the measured slices of each layer, ``reached`` [layers, shuffles]
    the largest :func:`~kdsspark.stats.summaries.significance.reach` under each shuffle. Returns
    the number of pairs with a false discovery rate below 5 %, for the columns ``significant`` (over
    all layers together) and ``significant_by_layer`` of ``thresholds``.
    """
    tables = [
        _tested(output, [KS.part(name, *pair, "true") for name in slices], of_layer, reached.max(0))
        for slices, of_layer in zip(layers, reached, strict=True)
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


def _tested(
    output: Output,
    paths: Sequence[str],
    in_layer: npt.NDArray[np.float64],
    in_all: npt.NDArray[np.float64],
) -> pa.Table:
    """The pairs of one layer, with all columns but ``q``; exact distances are used if there.

    ``in_layer`` and ``in_all`` [shuffles] are the largest reach in the layer and in all layers.
    """
    key = ["layer", "unit", "class_id"]
    columns = [*key, "n_inner", "n_outer", "ks", "ks_exact"]
    rows = pa.concat_tables([parquet.read_file(output, path, columns) for path in paths])
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
    tested = rows.select(key)
    for name, values in found.items():
        tested = tested.append_column(name, nullable(values))
    return tested

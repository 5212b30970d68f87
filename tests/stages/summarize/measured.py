"""Distances as ``measure`` leaves them, for tests of what is summed up from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages.measure import summaries
from kdsspark.stats.summaries.counts import Summary
from kdsspark.stats.summaries.significance import reach
from kdsspark.tables import KS
from tests.stages.embedded import PAIR

Slices = Mapping[str, tuple[str, int, NDArray[np.float64]]]
"""Name of a slice -> its layer, its first unit, and ks [units, classes, labelings]."""


def write_distances(
    output: Output, slices: Slices, sizes: list[int], keep_shuffled: bool = True
) -> None:
    """Write ``ks`` and the summaries; ``sizes`` are those of the classes; NaN is undefined."""
    for name, (layer, first, ks) in slices.items():
        kinds = {"true": [0], "shuffled": list(range(1, ks.shape[2]))}
        for labels, shuffles in kinds.items():
            if labels == "true" or keep_shuffled:
                rows = _rows(layer, first, ks, shuffles, sizes)
                parquet.write(output, KS.part(name, *PAIR, labels), rows, KS.schema)
        n = np.array(sizes)
        found = {
            shuffle: Summary.of(one, float(np.nanmax(reach(one, n, n.sum() - n), initial=0)))
            for shuffle, one in enumerate(np.moveaxis(ks, 2, 0))
        }
        summaries.write(output, PAIR, name, found)


def _rows(
    layer: str, first: int, ks: NDArray[np.float64], shuffles: list[int], sizes: list[int]
) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for unit, class_id in np.ndindex(ks.shape[:2]):
        for shuffle in shuffles:
            value = ks[unit, class_id, shuffle]
            rows.append(
                {
                    "layer": layer,
                    "unit": first + unit,
                    "class_id": class_id,
                    "shuffle": shuffle,
                    "n_inner": sizes[class_id],
                    "n_outer": sum(sizes) - sizes[class_id],
                    "ks": None if np.isnan(value) else value,
                    "bin": -1,
                    "ks_exact": None,
                }
            )
    return pa.Table.from_pylist(rows, schema=KS.schema)

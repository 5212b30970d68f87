"""The rows of ``ranges``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from kdsspark.output.parquet import nullable
from kdsspark.stats.ranges import Ranges


def ranges_table(layer: str, first: int, ranges: Ranges) -> pa.Table:
    """Rows of ``ranges``: units ``first`` and following of a layer."""
    n = len(ranges.n)
    return pa.table(
        {
            "layer": pa.repeat(layer, n),
            "unit": pa.array(np.arange(first, first + n, dtype=np.int32)),
            "lo": nullable(ranges.lo),
            "hi": nullable(ranges.hi),
            "n": pa.array(ranges.n),
            "n_nonfinite": pa.array(ranges.n_nonfinite),
        }
    )

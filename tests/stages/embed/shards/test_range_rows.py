from __future__ import annotations

import numpy as np

from kdsspark.stages.embed.shards.range_rows import ranges_table
from kdsspark.stats.ranges import Ranges
from kdsspark.tables import RANGES


def test_units_are_numbered_from_the_first_and_nan_is_null() -> None:
    lo, hi = np.array([-1.5, np.nan]), np.array([2.0, np.nan])
    rows = ranges_table("x", 7, Ranges(lo, hi, np.array([5, 0]), np.array([1, 6])))
    assert rows.to_pylist() == [
        {"layer": "x", "unit": 7, "lo": -1.5, "hi": 2.0, "n": 5, "n_nonfinite": 1},
        {"layer": "x", "unit": 8, "lo": None, "hi": None, "n": 0, "n_nonfinite": 6},
    ]
    assert rows.schema.types == RANGES.schema.types

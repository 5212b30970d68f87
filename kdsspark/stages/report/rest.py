"""Where the rest of a dataset lies for the lowest distances: findings of section 5 (driver)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from kdsspark import paper
from kdsspark.output.output import Output
from kdsspark.stages.report.feature_classes import Key, read_bins

_KEYS: Final = ("network", "dataset", "layer", "unit", "class_id")
_LOWEST: Final = 10  # of each network and dataset, as in the paper's figures 3 and 4


def medians(output: Output, class_extremes: pd.DataFrame) -> pd.DataFrame:
    """The medians of the class and of the rest, for the lowest extremely negative distances.

    ``class_extremes`` is the result of that query. Columns: network, dataset, layer, unit,
    class_id, ks; own and rest, from 0 for the lowest value of the feature to 1 for its highest, to
    half a bin. Rows without a histogram are left out.
    """
    rows = class_extremes[class_extremes["ks"] < paper.FAR_ABSENT]
    rows = rows.sort_values(["ks", *_KEYS]).groupby(["network", "dataset"]).head(_LOWEST)
    keys: list[Key] = list(rows[list(_KEYS)].itertuples(index=False, name=None))
    bins = read_bins(output, keys)
    found = [
        (*key, ks, _median(bins[key]["inner"]), _median(bins[key]["outer"]))
        for key, ks in zip(keys, rows["ks"], strict=True)
        if key in bins
    ]
    return pd.DataFrame(found, columns=[*_KEYS, "ks", "own", "rest"])


def _median(counts: pd.Series[int]) -> float:
    """The middle of the bin of the median, as a share of the range."""
    below = np.cumsum(counts.to_numpy())
    return (int(np.searchsorted(below, below[-1] / 2)) + 0.5) / len(below)

"""Where the rest of a dataset lies for the lowest distances: findings of section 5 (driver)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from kdsspark import paper
from kdsspark.output.names import Pair
from kdsspark.stages.report.curves import ALL, Counts, Curves, WantedCounts

_KEYS: Final = ("network", "dataset", "layer", "unit", "class_id")
_LOWEST: Final = 10  # of each network and dataset, as in the paper's figures 3 and 4


def lowest(class_extremes: pd.DataFrame) -> pd.DataFrame:
    """The lowest extremely negative distances: rows of the query of that name, in order."""
    rows = class_extremes[class_extremes["ks"] < paper.FAR_ABSENT]
    return rows.sort_values(["ks", *_KEYS]).groupby(["network", "dataset"]).head(_LOWEST)


def counts_compared(rows: pd.DataFrame) -> dict[Pair, WantedCounts]:
    """The histograms that :func:`medians` reads."""
    wanted: dict[Pair, dict[tuple[str, int], frozenset[int]]] = {}
    for network, dataset, layer, unit, class_id in rows[list(_KEYS)].itertuples(index=False):
        own = wanted.setdefault(Pair(network, dataset), {})
        own[layer, unit] = own.get((layer, unit), frozenset()) | {class_id}
    return dict(wanted)


def medians(rows: pd.DataFrame, counts: Mapping[Pair, Curves]) -> pd.DataFrame:
    """The medians of the class and of the rest, for the rows that :func:`lowest` gives.

    Columns: network, dataset, layer, unit, class_id, ks; own and rest, from 0 for the lowest value
    of the feature to 1 for its highest, to half a bin. Rows without a histogram are left out.
    """
    found = []
    for *key, ks in rows[[*_KEYS, "ks"]].itertuples(index=False):
        network, dataset, layer, unit, class_id = key
        own = counts.get(Pair(network, dataset), {})
        if (layer, unit, class_id) in own:
            inner = own[layer, unit, class_id]
            outer = own[layer, unit, ALL] - inner
            found.append((*key, ks, _median(inner), _median(outer)))
    return pd.DataFrame(found, columns=[*_KEYS, "ks", "own", "rest"])


def _median(counts: Counts) -> float:
    """The middle of the bin of the median, as a share of the range."""
    below = np.cumsum(counts)
    return (int(np.searchsorted(below, below[-1] / 2)) + 0.5) / len(below)

"""Features and classes on which other distances disagree with ks, with histograms (driver)."""

from __future__ import annotations

from typing import get_args

import pandas as pd

from kdsspark.config.types import Distance
from kdsspark.output.output import Output
from kdsspark.report.data import Disagreements
from kdsspark.stages.report.feature_classes import read_bins


def with_bins(output: Output, extremes: pd.DataFrame) -> Disagreements:
    """The result of ``DISAGREEMENTS``, and the histograms of the rows to be drawn.

    Rows without histograms are left out of ``bins``.
    """
    chosen = widest(extremes)
    names = ("network", "dataset", "layer", "unit", "class_id")
    keys = list(chosen[list(names)].itertuples(index=False, name=None))
    bins = read_bins(output, keys)
    drawn = [
        bins[key].assign(**row)
        for key, (_, row) in zip(keys, chosen.iterrows(), strict=True)
        if key in bins
    ]
    none = extremes.iloc[:0]
    return Disagreements(extremes, pd.concat(drawn, ignore_index=True) if drawn else none)


def widest(extremes: pd.DataFrame) -> pd.DataFrame:
    """The two rows to be drawn for each network and distance, of the result of ``DISAGREEMENTS``.

    The row of the dataset with the largest gap, and then that with the smallest.
    """
    ordered = extremes.sort_values("gap", ascending=False, kind="stable")
    ends = ordered.groupby(["network", "distance"], sort=False)
    both = pd.concat([ends.head(1), ends.tail(1)])
    both = both[~both.index.duplicated()]
    places = {name: place for place, name in enumerate(get_args(Distance))}
    return both.sort_values(
        ["network", "distance"],
        key=lambda column: column.map(places) if column.name == "distance" else column,
        kind="stable",
    ).reset_index(drop=True)

"""Pairs that other distances see differently from ks, with their histograms (driver)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kdsspark.report.data import Disagreements
from kdsspark.report.disagreements import widest
from kdsspark.stages.report.feature_classes import read_bins


def with_bins(session: Any, found: pd.DataFrame) -> Disagreements:
    """The result of ``DISAGREEMENTS``, and the histograms of the pairs to be drawn.

    Those without histograms are left out; views are registered.
    """
    chosen = widest(found)
    names = ("network", "dataset", "layer", "unit", "class_id")
    keys = list(chosen[list(names)].itertuples(index=False, name=None))
    bins = read_bins(session, keys)
    drawn = [
        bins[key].assign(**row)
        for key, (_, row) in zip(keys, chosen.iterrows(), strict=True)
        if key in bins
    ]
    return Disagreements(found, pd.concat(drawn, ignore_index=True) if drawn else found.iloc[:0])

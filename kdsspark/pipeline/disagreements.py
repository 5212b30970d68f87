"""Pairs that other distances see differently from ks, with their histograms (driver)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kdsspark.pipeline.pairs import read_bins
from kdsspark.report.data import Disagreements
from kdsspark.report.disagreements import widest


def with_bins(session: Any, found: pd.DataFrame) -> Disagreements:
    """The result of ``DISAGREEMENTS``, and the histograms of the pairs to be drawn.

    Those without histograms are left out; views are registered.
    """
    drawn = []
    for _, row in widest(found).iterrows():
        key = (row["network"], row["dataset"], row["layer"], int(row["unit"]), row["class_id"])
        bins = read_bins(session, *key)
        if bins is not None:
            drawn.append(bins.assign(**row))
    return Disagreements(found, pd.concat(drawn, ignore_index=True) if drawn else found.iloc[:0])

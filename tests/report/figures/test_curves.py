"""Figure 9 and davg: every curve is drawn where the tables have it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kdsspark.report.figures import curves
from tests.report.synthetic import Tables


def birds(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["dataset"] == "birds"]


def test_figure9_draws_every_class_and_their_mean(
    tables: Tables, frame: Callable[[str], pd.DataFrame]
) -> None:
    ax = Figure().subplots()
    curves.class_curves(ax, birds(frame("figure9")))
    bundles = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert [len(b.get_segments()) for b in bundles] == [12] * 4
    true_plus, true_minus, shuffled_plus, _, t_plus, t_minus = ax.get_lines()
    best = tables["thresholds"].query("network == 'vgg16' and dataset == 'birds'").iloc[0]
    assert list(t_plus.get_xdata()) == [best["t_plus"]] * 2
    assert list(t_minus.get_xdata()) == [best["t_minus"]] * 2
    # The height between the means is davg, which another table holds.
    gap = true_plus.get_ydata() - shuffled_plus.get_ydata()
    davg = tables["davg"].query("network == 'vgg16' and dataset == 'birds' and sign == '+'")
    np.testing.assert_allclose(gap, davg["davg"].to_numpy()[::10], atol=1e-9)
    assert true_minus.get_xdata().min() == -1


def test_davg_marks_its_maxima(frame: Callable[[str], pd.DataFrame]) -> None:
    rows = birds(frame("davg"))
    plus, at_plus, minus, at_minus, _ = curves.davg_curves(Figure().subplots(), rows)
    for line, mark in ((plus, at_plus), (minus, at_minus)):
        top = int(np.argmax(line.get_ydata()))
        assert mark.get_xydata().tolist() == [[line.get_xdata()[top], line.get_ydata()[top]]]

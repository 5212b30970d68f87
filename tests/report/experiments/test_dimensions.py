"""How many dimensions a task needs, and the order of tasks, of made-up accuracies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.experiments.dimensions import needed, tasks


def _frames(ranks: list[float]) -> dict[str, pd.DataFrame]:
    """The farther a dataset, the earlier its best layer and the more dimensions it needs."""
    rows = []
    for number, rank in enumerate(ranks):
        for depth in range(5):
            head = {"network": "n", "dataset": f"d{number}", "rank": rank, "depth": depth}
            head |= {"images_per_class": 9.0, "layer": f"l{depth}", "n_features": 64}
            head |= {"low": 0.1, "high": 0.9, "n_test": 9}
            full = 0.9 - 0.1 * abs(depth - (4 - number))
            for k in (1, 2, 4, 8, 16, 32):
                share = min(1, 0.95 * k / 2 ** (number + 1))
                row = {"dimensions": k, "reduced": True, "share": share, "accuracy": full * share}
                rows.append(head | row)
            whole = {"dimensions": 64, "reduced": False, "share": 1.0, "accuracy": full}
            rows.append(head | whole)
    return {"dimensions": pd.DataFrame(rows)}


def test_the_least_dimensions_that_reach_a_share() -> None:
    found = needed(_frames([1.0, 2.0])).set_index(["dataset", "layer"])
    assert found.loc[("d0", "l4"), ["at95", "at99"]].tolist() == [2, 4]
    assert found.loc[("d1", "l0"), ["at95", "at99"]].tolist() == [4, 8]


def test_the_order_of_tasks_is_correlated_with_layer_and_dimensions() -> None:
    found = tasks(_frames([1.0, 2.0, 3.0, 4.0]))
    assert found["layer"].tolist()[:4] == ["l4", "l3", "l2", "l1"]
    last = found.iloc[-1]
    assert last["dataset"] == "Spearman with the rank"
    assert last["of_depth"] == pytest.approx(-1)
    assert last["at95"] == pytest.approx(1)


@pytest.mark.parametrize("ranks", [[np.nan, np.nan], [1.0, np.nan]])
def test_without_ranks_there_is_no_order(ranks: list[float]) -> None:
    found = tasks(_frames(ranks))
    known = sum(not np.isnan(rank) for rank in ranks)
    assert len(found) == known + bool(known)
    assert found.loc[found["rank"].isna(), "of_depth"].isna().all()

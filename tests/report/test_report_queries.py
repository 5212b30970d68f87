"""The queries: only declared columns, and the numbers they are meant to give."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.figures import FIGURES
from kdsspark.report.queries import QUERIES
from kdsspark.tables import TABLES
from tests.report.synthetic import Study, Tables, make_tables, run_queries


def declared(table: str) -> set[str]:
    return {*TABLES[table].partitioned_by, *(c.name for c in TABLES[table].columns)}


@pytest.mark.parametrize("name", QUERIES)
def test_refers_only_to_declared_tables_and_columns(name: str) -> None:
    sql = QUERIES[name]
    aliases = {alias: table for table, alias in re.findall(r"(?:FROM|JOIN) (\w+) AS (\w+)", sql)}
    assert aliases
    assert set(aliases.values()) <= set(TABLES)
    outer = set(re.findall(r"\) AS (\w+)\s+(?:ON|WHERE)", sql))
    for alias, column in re.findall(r"\b([a-z]+)\.(\w+)", sql):
        if alias not in outer:
            assert column in declared(aliases[alias]), f"{alias}.{column}"


def test_every_figure_has_its_query() -> None:
    assert set(FIGURES) <= set(QUERIES)


@pytest.fixture(scope="module")
def frames(tables: Tables) -> dict[str, pd.DataFrame]:
    return run_queries(tables)


def test_indexed_is_embedded_plus_failed(frames: dict[str, pd.DataFrame]) -> None:
    counts = frames["counts"]
    assert (counts["failed"] > 0).any()
    assert (counts["indexed"] == counts["embedded"] + counts["failed"]).all()


def test_figure6_gives_shares_of_each_kind(tables: Tables, frames: dict[str, pd.DataFrame]) -> None:
    keys = ["network", "dataset", "kind", "bin"]
    raw = tables["distribution"]
    n = raw[raw["labels"] == "true"].groupby(keys)["n"].sum()
    want = 100 * n / n.groupby(keys[:3]).transform("sum")  # NaN where there are no pairs at all
    got = frames["figure6"].set_index(keys)["percent"].sort_index()
    pd.testing.assert_series_equal(got, want.sort_index(), check_names=False)
    assert got["vgg16", "mono"].isna().all()


def test_figure10_adds_the_two_signs(tables: Tables, frames: dict[str, pd.DataFrame]) -> None:
    keys = ["network", "dataset", "layer", "labels"]
    want = tables["layers"].pivot(index=keys, columns="sign", values="kept")
    got = frames["figure10"].set_index(keys)["kept"].sort_index()
    np.testing.assert_allclose(got, (want["+"] + want["-"]).sort_index(), rtol=1e-12)


def test_figure9_shows_the_first_permutation_only(tables: Tables) -> None:
    second = tables["survival"][tables["survival"]["shuffle"] == 1].assign(shuffle=2)
    more = {**tables, "survival": pd.concat([tables["survival"], second])}
    assert len(run_queries(more)["figure9"]) == len(tables["survival"])


def test_classes_are_counted_at_t_plus_rounded_down(tables: Tables) -> None:
    """Every threshold of the grid 0.001 meets exactly one x of the grid 0.01."""
    millis = np.arange(1001)
    names = [f"d{m}" for m in millis]
    thresholds = pd.DataFrame({"network": "n", "dataset": names, "t_plus": millis / 1000})
    x = np.arange(101) / 100
    survival = pd.DataFrame(
        {"dataset": np.repeat(names, 101), "x": np.tile(x, 1001), "n_features": 1}
    ).assign(network="n", labels="true", class_id=0, shuffle=0, sign="+")
    got = run_queries({**tables, "thresholds": thresholds, "survival": survival})["classes"]
    assert dict(zip(got["dataset"], got["x"], strict=True)) == {
        f"d{m}": (m // 10) / 100 for m in millis
    }
    assert len(got) == 1001


def test_failures_are_sampled(frames: dict[str, pd.DataFrame]) -> None:
    assert (frames["failure_counts"]["n"] == 7).all()
    assert (frames["failures"].groupby(["network", "dataset", "error"]).size() == 5).all()


def test_runs_where_nothing_failed_and_nothing_was_indexed() -> None:
    """Ready-made embeddings: no image, no class name, and still every figure."""
    study = Study("given", [("clip", "other")], {"mine": ["a", "b"]}, units=4)
    tables = make_tables([study])
    empty = {name: tables[name].iloc[:0] for name in ("images", "failures")}
    frames = run_queries({**tables, **empty})
    assert frames["counts"]["indexed"].isna().all()
    assert frames["counts"]["failed"].tolist() == [0]
    assert frames["classes"]["class_name"].isna().all()
    assert not any(frames[name].empty for name in FIGURES)

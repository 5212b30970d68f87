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
    outer = set(re.findall(r"\) AS (\w+)\s+(?:ON|WHERE|LEFT JOIN)", sql))
    for alias, column in re.findall(r"\b([a-z]+)\.(\w+)", sql):
        if alias not in outer:
            assert column in declared(aliases[alias]), f"{alias}.{column}"


def test_every_figure_has_its_query() -> None:
    assert set(FIGURES) - {"figure8"} <= set(QUERIES)  # figure 8 draws rows of figure 6


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


def test_classes_count_pairs_beyond_the_thresholds(
    tables: Tables, frames: dict[str, pd.DataFrame]
) -> None:
    limits = tables["thresholds"].set_index(["network", "dataset"])
    names = tables["images"].drop_duplicates(["dataset", "class_id"])
    names = names.set_index(["dataset", "class_id"])["class_name"]
    for (network, dataset, class_id), pairs in tables["ks"].groupby(
        ["network", "dataset", "class_id"]
    ):
        row = frames["classes"].query(
            f"network == '{network}' and dataset == '{dataset}' and class_id == {class_id}"
        )
        t = limits.loc[(network, dataset)]
        got = row.iloc[0]
        assert len(row) == 1
        assert got["class_name"] == names[dataset, class_id]
        assert got["n_plus"] == sum(ks > t["t_plus"] for ks in pairs["ks"])
        assert got["n_minus"] == sum(ks < t["t_minus"] for ks in pairs["ks"])
        if dataset != "mono":
            assert (got["highest"], got["lowest"]) == (max(pairs["ks"]), min(pairs["ks"]))
    assert len(frames["classes"]) == 12 + 7 + 1 + 12


@pytest.mark.parametrize(
    ("name", "group", "ties"),
    [
        ("top_features", ["network", "dataset", "class_id"], ["layer", "unit"]),
        ("top_pairs", ["network", "dataset", "layer"], ["unit", "class_id"]),
    ],
)
def test_five_pairs_at_either_end(
    tables: Tables, name: str, group: list[str], ties: list[str]
) -> None:
    coarse = tables["ks"].assign(ks=tables["ks"]["ks"].round(1))  # with many ties
    got = run_queries({**tables, "ks": coarse})[name]
    for sign, ascending in (("+", False), ("-", True)):
        some = coarse[coarse["ks"] > 0] if sign == "+" else coarse[coarse["ks"] < 0]
        some = some.sort_values(["ks", *ties], ascending=[ascending, True, True])
        want = some.groupby(group).head(5)
        columns = ["network", "dataset", "layer", "unit", "class_id", "ks"]
        rows = got[got["sign"] == sign].sort_values([*group, "place"])
        want = want.sort_values(group, kind="stable")
        assert rows[columns].to_numpy().tolist() == want[columns].to_numpy().tolist()
    assert not (got["dataset"] == "mono").any()


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
    assert not any(frames[name].empty for name in FIGURES if name in frames)

"""The queries: only declared views and columns, and the numbers they are meant to give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from kdsspark.query.view_queries import VIEW_QUERIES, reads
from kdsspark.report.data import ReportData
from kdsspark.report.queries import DISAGREEMENTS, QUERIES
from kdsspark.tables import TABLES
from tests.report.synthetic import BESIDE, Study, Tables, make_tables, run_queries


@pytest.mark.parametrize("sql", [*QUERIES.values(), DISAGREEMENTS])
def test_reads_tables_and_views_that_users_have(sql: str) -> None:
    assert set(reads(sql)) <= {*TABLES, *VIEW_QUERIES}
    assert reads(sql)


@pytest.mark.parametrize("name", ["ks", "features", "images"])
def test_no_summary_is_computed_apart_from_the_views(name: str) -> None:
    """What joins these tables is a view: distances with names, layers, classes."""
    counted = ["counts"] if name == "images" else []  # images alone, not by class
    assert [query for query, sql in QUERIES.items() if name in reads(sql)] == counted


@pytest.fixture(scope="module")
def frames(report: ReportData) -> Mapping[str, pd.DataFrame]:
    return report.frames


def test_indexed_is_embedded_plus_failed(frames: Mapping[str, pd.DataFrame]) -> None:
    counts = frames["counts"]
    assert (counts["failed"] > 0).any()
    assert (counts["indexed"] == counts["embedded"] + counts["failed"]).all()


def test_figure6_gives_shares_of_each_kind(
    tables: Tables, frames: Mapping[str, pd.DataFrame]
) -> None:
    keys = ["network", "dataset", "kind", "bin"]
    raw = tables["distribution"]
    n = raw[raw["labels"] == "true"].groupby(keys)["n"].sum()
    want = 100 * n / n.groupby(keys[:3]).transform("sum")  # NaN where there are no pairs at all
    got = frames["figure6"].set_index(keys)["percent"].sort_index()
    pd.testing.assert_series_equal(
        got, want.sort_index(), check_names=False, check_index_type=False
    )
    assert got["vgg16", "mono"].isna().all()


def test_figure10_adds_the_two_signs(tables: Tables, frames: Mapping[str, pd.DataFrame]) -> None:
    keys = ["network", "dataset", "layer", "labels"]
    want = tables["layers"].pivot(index=keys, columns="sign", values="kept")
    got = frames["figure10"].set_index(keys)["kept"].sort_index()
    np.testing.assert_allclose(got, (want["+"] + want["-"]).sort_index(), rtol=1e-12)


def test_figure9_shows_the_first_permutation_only(tables: Tables) -> None:
    second = tables["survival"][tables["survival"]["shuffle"] == 1].assign(shuffle=2)
    more = {**tables, "survival": pd.concat([tables["survival"], second])}
    assert len(run_queries(more)["figure9"]) == len(tables["survival"])


def test_classes_count_pairs_beyond_the_thresholds(
    tables: Tables, frames: Mapping[str, pd.DataFrame]
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


@pytest.fixture(scope="module")
def coarse(tables: Tables) -> Tables:
    """With many ties, and with layers in another order than that of their names."""
    features = tables["features"]
    return {
        **tables,
        "ks": tables["ks"].assign(ks=tables["ks"]["ks"].round(1)),
        "features": features.assign(depth=features["depth"].max() - features["depth"]),
    }


@pytest.fixture(scope="module")
def extremes(coarse: Tables) -> dict[str, pd.DataFrame]:
    return run_queries(coarse)


@pytest.mark.parametrize(
    ("name", "group", "ties", "n"),
    [
        ("class_extremes", ["network", "dataset", "class_id"], ["depth", "unit"], 10),
        ("layer_extremes", ["network", "dataset", "layer"], ["unit", "class_id"], 5),
    ],
)
def test_the_first_at_either_end(
    coarse: Tables,
    extremes: dict[str, pd.DataFrame],
    name: str,
    group: list[str],
    ties: list[str],
    n: int,
) -> None:
    got = extremes[name]
    features = coarse["features"][["network", "layer", "unit", "depth"]]
    ks = coarse["ks"].merge(features, on=["network", "layer", "unit"])
    for sign, ascending in (("+", False), ("-", True)):
        inside = ks[ks["ks"] > 0] if sign == "+" else ks[ks["ks"] < 0]
        inside = inside.sort_values(["ks", *ties], ascending=[ascending, True, True])
        want = inside.groupby(group).head(n)
        columns = ["network", "dataset", "layer", "unit", "class_id", "ks"]
        rows = got[got["sign"] == sign].sort_values([*group, "place"])
        want = want.sort_values(group, kind="stable")
        assert rows[columns].to_numpy().tolist() == want[columns].to_numpy().tolist()
    assert set(got["dataset"]) == {"birds", "wood"}  # no distance in a dataset of one class


def test_failures_are_sampled(frames: Mapping[str, pd.DataFrame]) -> None:
    assert (frames["failure_counts"]["n"] == 7).all()
    assert (frames["failures"].groupby(["network", "dataset", "error"]).size() == 5).all()


def test_runs_where_nothing_failed() -> None:
    study = Study("given", [("clip", "other")], {"mine": ["a", "b"]}, units=4)
    tables = make_tables([study])
    frames = run_queries({**tables, "failures": tables["failures"].iloc[:0]})
    assert frames["counts"]["failed"].tolist() == [0]
    empty = {name for name, rows in frames.items() if rows.empty}
    assert empty == {"failure_counts", "failures", "probed", "information", *BESIDE}


# -- what only findings read -----------------------------------------------------------------------


def test_a_unit_is_summarised_over_its_classes(
    tables: Tables, frames: Mapping[str, pd.DataFrame]
) -> None:
    limits = tables["thresholds"].set_index(["network", "dataset"])
    got = frames["units"].set_index(["network", "dataset", "layer", "unit"])
    assert set(got.index.get_level_values("dataset")) == {"birds", "wood"}  # mono has no distance
    for key, pairs in tables["ks"].groupby(["network", "dataset", "layer", "unit"]):
        if key[1] == "mono":
            continue
        row, ks, t = got.loc[key], pairs["ks"].to_numpy(), limits.loc[key[:2]]
        assert row["n_classes"] == len(ks)
        assert (row["present"], row["absent"]) == (
            sum(ks > t["t_plus"]),
            sum(ks < t["t_minus"]),
        )
        assert (row["far_absent"], row["at_zero"]) == (sum(ks < -0.8), sum(ks == 0))
        assert (row["highest"], row["lowest"]) == (ks.max(), ks.min())
        assert np.isnan(row["nonzero"])  # as without exact distances


def test_the_share_of_non_zero_values_is_that_of_the_whole_dataset(tables: Tables) -> None:
    """Of 40 images, 10 are not 0: 4 of the 10 of one class, 6 of the 30 of the other."""
    keys = {"network": "vgg16", "dataset": "wood", "labels": "true", "layer": "fc6", "unit": 3}
    rows = [
        {"class_id": 0, "n_inner": 10, "n_outer": 30, "nonzero_inner": 0.4, "nonzero_outer": 0.2},
        {"class_id": 1, "n_inner": 30, "n_outer": 10, "nonzero_inner": 0.2, "nonzero_outer": 0.4},
    ]
    pairs = pd.DataFrame([{**keys, "shuffle": 0, "ks": 0.1, **row} for row in rows])
    (unit,) = run_queries({**tables, "ks": pairs})["units"].to_dict("records")
    assert unit["nonzero"] == pytest.approx(0.25)
    assert (unit["n_classes"], unit["depth"], unit["kind"]) == (2, 13, "fc")


def test_information_is_correlated_with_divergence_layer_by_layer(tables: Tables) -> None:
    """Spearman's correlation by scipy, with ties, of classes of unequal size."""
    rng = np.random.default_rng(0)
    keys = ["network", "dataset", "layer", "unit", "class_id"]
    pairs = tables["ks"].query("network == 'vgg16' and dataset == 'birds'")[keys]
    kl = rng.integers(1, 20, len(pairs)) / 10
    mi = np.round(kl * rng.uniform(0.5, 1.5, len(pairs)), 1) / 12
    pairs = pairs.assign(kullback_leibler=kl, mutual_information=mi)
    pairs.loc[pairs.index[:5], "kullback_leibler"] = None
    images = tables["images"]
    uneven = images[(images["class_id"] > 0) | (images["image_id"] < "00000010")]
    found = run_queries({**tables, "distances": pairs, "images": uneven})["information"]
    sizes = uneven[uneven["dataset"] == "birds"].groupby("class_id").size()
    (n,) = tables["thresholds"].query("network == 'vgg16' and dataset == 'birds'")["n_images"]
    assert sizes.nunique() == 2
    for layer, own in pairs.dropna().groupby("layer"):
        row = found.set_index("layer").loc[layer]
        scaled = own["mutual_information"] * n / own["class_id"].map(sizes)
        rho = spearmanr(scaled, own["kullback_leibler"]).statistic
        assert row["spearman"] == pytest.approx(rho)
        assert row["n"] == len(own)
        assert row["largest_share"] == pytest.approx(sizes.max() / n)


def test_probes_are_those_of_all_features_of_the_measured_images(tables: Tables) -> None:
    (n,) = tables["thresholds"].query("network == 'vgg16' and dataset == 'birds'")["n_images"]
    usual = {"network": "vgg16", "dataset": "birds", "layer": "fc6", "features": "all"}
    usual |= {"class_id": -1, "method": "SGD", "n_features": 20, "n_train": n - 9, "n_test": 9}
    usual |= {"correct": 6, "accuracy": 2 / 3}
    others = [{"features": "relevant"}, {"class_id": 0}, {"layer": "*"}, {"n_train": n - 10}]
    rows = pd.DataFrame([usual, *({**usual, **other} for other in others)])
    found = run_queries({**tables, "probe": rows})["probed"]
    assert found[["layer", "kind", "depth", "accuracy"]].to_numpy().tolist() == [
        ["fc6", "fc", 13, pytest.approx(2 / 3)]
    ]

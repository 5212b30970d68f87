"""The ready-made views against pandas over the same files."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from kdsspark.output import parquet
from kdsspark.pipeline.study import Study
from kdsspark.query.view_queries import VIEW_QUERIES, needs, reads
from kdsspark.tables import KS, LAYERS, TABLES, THRESHOLDS
from tests.query.conftest import NAMES, OBJECTS

FEATURE_CLASS = ["network", "dataset", "class_id", "layer", "unit"]


def read(study: Study, table: Any) -> pd.DataFrame:
    return parquet.read(study.output, table).to_pandas()


def assert_equal(got: pd.DataFrame, want: pd.DataFrame, key: list[str]) -> None:
    assert len(want) > 1
    columns = list(want.columns)
    got, want = (f[columns].sort_values(key).reset_index(drop=True) for f in (got, want))
    pd.testing.assert_frame_equal(got, want, check_dtype=False, rtol=1e-12)


FEATURE_CLASS = ["network", "dataset", "class_id", "layer", "unit"]


@pytest.mark.parametrize("name", VIEW_QUERIES)
def test_views_read_tables_and_earlier_views(name: str) -> None:
    known = [*TABLES, *VIEW_QUERIES]
    assert set(reads(VIEW_QUERIES[name])) <= set(known[: known.index(name)])


def test_needs_come_before_what_reads_them() -> None:
    assert needs(["top_features", "davg", "classes"]) == [
        *("ks", "features", "images", "image_classes", "image_labels", "classes"),
        *("feature_classes", "top_features", "davg"),
    ]
    assert needs([]) == []


@pytest.mark.parametrize("name", VIEW_QUERIES)
def test_columns_of_tables_are_declared(name: str) -> None:
    sql = VIEW_QUERIES[name]
    of_table = re.findall(r"\b(?:FROM|JOIN) (\w+) AS (\w+)", sql)
    declared = {
        alias: {*TABLES[table].partitioned_by, *(c.name for c in TABLES[table].columns)}
        for table, alias in of_table
        if table in TABLES
    }
    assert len({alias for _, alias in of_table}) == len(set(of_table))
    for alias, column in re.findall(r"\b([a-z]+)\.(\w+)", sql):
        assert alias not in declared or column in declared[alias], f"{alias}.{column}"


def test_class_names_come_back_unchanged(opened: SparkSession) -> None:
    got = {
        (r["dataset"], r["class_name"]): r["n_images"] for r in opened.table("classes").collect()
    }
    scenes, patterns = ([names[i] for names in NAMES.values()] for i in (0, 1))
    assert got == {
        **{("objects", name): n + (name == "fish") for name, n in OBJECTS.items()},
        **{("scenes", name): n for name, n in zip(scenes, (6, 5), strict=True)},
        **{("patterns", name): n for name, n in zip(patterns, (6, 5), strict=True)},
        ("one", "only"): 9,
    }


def test_network_layers(study: Study, opened: SparkSession) -> None:
    features = read(study, TABLES["features"])
    key = ["network", "depth", "layer", "kind"]
    want = features.groupby(key).size().rename("n_features").reset_index()
    assert_equal(opened.table("network_layers").toPandas(), want, key)


def test_feature_classes(opened: SparkSession, feature_classes: pd.DataFrame) -> None:
    got = opened.table("feature_classes").toPandas()
    columns = [*FEATURE_CLASS, "class_name", "feature", "kind", "depth", "ks", "ks_exact"]
    columns += ["auc", "p_auc", "mean_difference", "nonzero_inner", "nonzero_outer"]
    assert set(got) == set(columns)
    assert_equal(got, feature_classes[columns], FEATURE_CLASS)


def test_features_are_ranked_from_both_ends(
    opened: SparkSession, feature_classes: pd.DataFrame
) -> None:
    def ranks(ascending: bool) -> pd.Series[int]:
        ordered = feature_classes.sort_values(
            ["ks", "depth", "unit"], ascending=[ascending, True, True]
        )
        return ordered.groupby(["network", "dataset", "class_id"]).cumcount() + 1

    want = feature_classes.assign(rank_high=ranks(False), rank_low=ranks(True))
    assert want.groupby(["dataset", "class_id"])["ks"].nunique().max() < 320  # there are ties
    columns = [
        *FEATURE_CLASS,
        "class_name",
        "ks",
        "ks_exact",
        "rank_high",
        "rank_low",
    ]
    assert_equal(opened.table("top_features").toPandas(), want[columns], FEATURE_CLASS)


def test_relevant_are_strictly_beyond_the_thresholds(
    study: Study, opened: SparkSession, feature_classes: pd.DataFrame
) -> None:
    limits = read(study, THRESHOLDS)[["network", "dataset", "t_plus", "t_minus"]]
    frame = feature_classes.merge(limits, on=["network", "dataset"])
    high, low = frame["ks"] > frame["t_plus"], frame["ks"] < frame["t_minus"]
    frame["sign"] = np.where(high, "+", "-")
    frame["threshold"] = np.where(high, frame["t_plus"], frame["t_minus"])
    want = frame[high | low][[*FEATURE_CLASS, "class_name", "ks", "sign", "threshold"]]
    assert set(want["sign"]) == {"+", "-"}
    assert_equal(opened.table("relevant").toPandas(), want, FEATURE_CLASS)


def test_class_summary(study: Study, opened: SparkSession, feature_classes: pd.DataFrame) -> None:
    limits = read(study, THRESHOLDS)[["network", "dataset", "t_plus", "t_minus"]]
    frame = feature_classes.merge(limits, on=["network", "dataset"])
    frame["present"] = frame["ks"] > frame["t_plus"]
    frame["absent"] = frame["ks"] < frame["t_minus"]
    frame["mean_abs_ks"] = frame["ks"].abs()
    key = ["network", "dataset", "class_id", "class_name"]
    of_class = frame.groupby(key)
    want = of_class.agg({"present": "sum", "absent": "sum", "mean_abs_ks": "mean"})
    want["highest"], want["lowest"] = of_class["ks"].max(), of_class["ks"].min()
    want["n_measured"] = of_class["n_inner"].max()
    layers = frame.groupby([*key, "layer"])["mean_abs_ks"].mean().unstack()
    want["top_layer"], want["top_layer_mean_abs_ks"] = layers.idxmax(axis=1), layers.max(axis=1)
    got = opened.table("class_summary").toPandas()
    (only,) = got[got["dataset"] == "one"].to_dict("records")
    assert_equal(got[got["dataset"] != "one"], want.reset_index(), key)
    failed = got.set_index(["dataset", "class_name"])["n_failed"]
    assert failed[failed > 0].to_dict() == {("objects", "fish"): 1}
    assert (only["n_images"], only["present"], only["absent"]) == (9, 0, 0)
    assert only["top_layer"] is None  # one class: no distance at all
    assert pd.isna(only["mean_abs_ks"])


def test_layer_summary(study: Study, opened: SparkSession) -> None:
    layers = read(study, LAYERS)
    shuffled = layers[layers["labels"] == "shuffled"]
    layers = layers[layers["labels"] == "true"].rename(columns={"q50": "median"})
    key = ["network", "dataset", "layer"]
    wide = layers.pivot(index=key, columns="sign", values=["n", "mode", "median", "kept"])
    wide.columns = [f"{name}_{'plus' if sign == '+' else 'minus'}" for name, sign in wide.columns]
    wide["kept"] = wide["kept_plus"] + wide["kept_minus"]
    wide["kept_shuffled"] = shuffled.groupby(key)["kept"].sum(min_count=2)
    wide["n_features"] = [{"fire9": 64, "fc7": 256}.get(layer, 4) for _, _, layer in wide.index]
    wide.loc[("clip", "one", "fire9"), "n_features"] = 4
    got = opened.table("layer_summary").toPandas()
    assert_equal(got, wide.astype(float).reset_index(), key)
    assert set(zip(got["layer"], got["depth"], strict=True)) >= {("fire9", 0), ("fc7", 1)}


def test_kind_distribution(study: Study, opened: SparkSession) -> None:
    rows = read(study, TABLES["distribution"])
    rows = rows[(rows["labels"] == "true") & (rows["dataset"] != "one")]
    key = ["network", "dataset", "kind", "bin"]
    want = rows.groupby([*key, "lo", "hi"], observed=True)["n"].sum().reset_index()
    total = want.groupby(key[:3], observed=True)["n"].transform("sum")
    got = opened.table("kind_distribution").toPandas()
    assert_equal(got[got["dataset"] != "one"], want.assign(percent=100 * want["n"] / total), key)
    assert got[got["dataset"] == "one"]["percent"].isna().all()  # one class: no distance


def test_noise_counts_pairs_beyond_the_thresholds(study: Study, opened: SparkSession) -> None:
    """Against the distances of the shuffles themselves, which the view does not read."""
    limits = read(study, THRESHOLDS)[["network", "dataset", "t_plus", "t_minus"]]
    ks = read(study, KS).merge(limits, on=["network", "dataset"])
    ks = ks[ks["ks"].notna()]
    rows = []
    for sign, beyond in (("+", ks["ks"] > ks["t_plus"]), ("-", ks["ks"] < ks["t_minus"])):
        counted = ks.assign(n=beyond).groupby(["network", "dataset", "layer", "labels"])["n"]
        found = counted.agg(["sum", "mean"]).unstack("labels")
        found.columns = [f"{labels}_{what}" for what, labels in found.columns]
        rows.append(found.reset_index().assign(sign=sign))
    want = pd.concat(rows).rename(
        columns=lambda c: c.replace("_sum", "_pairs").replace("_mean", "_share")
    )
    want["noise"] = want["shuffled_share"] / want["true_share"].replace(0, np.nan)
    assert (want["shuffled_pairs"] > 0).any()
    got = opened.table("noise").toPandas()
    assert_equal(got[got["dataset"] != "one"], want, ["dataset", "layer", "sign"])

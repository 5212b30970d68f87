"""The views of an output against pandas over the same files; the queries of docs/sql.md."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from kdsspark.errors import ConfigError, KdssparkError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline import records as runs
from kdsspark.pipeline.study import Study
from kdsspark.query import views
from kdsspark.query.view_queries import VIEW_QUERIES
from kdsspark.tables import KS, LAYERS, TABLES, THRESHOLDS
from tests.studies import NETWORK, image_config, run, write_embeddings, write_images

DOCS = Path(__file__).parents[2] / "docs" / "sql.md"
OBJECTS = {"apple": 6, "fish": 5, "sky": 4}
NAMES = {"apple": ["apple", "it's"], "fish": ['a/b "c"', "<script>é\\😀=1;</script>"]}
VGG = {**NETWORK, "name": "vgg16", "layers": {"conv5_3": "features.0", "fc7": "features.6"}}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Study:  # noqa: ARG001
    """Folders and manifests of images, embeddings of float64 with a layer of the same name."""
    folder = tmp_path_factory.mktemp("views") / "out [1] {x}*?"
    write_images(folder / "objects", OBJECTS)
    (folder / "objects" / "fish" / "empty.jpg").touch()
    datasets: list[dict[str, Any]] = [{"name": "objects", "path": str(folder / "objects")}]
    for which, name in enumerate(("scenes", "textures")):
        rows = [
            (path, NAMES[path.parent.name][which])
            for path in folder.rglob("*.png")
            if path.parent.name in NAMES
        ]
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
        path = str(folder / f"{name}.csv")
        datasets.append({"name": name, "path": path, "layout": "manifest"})
    values = np.random.default_rng(3).normal(size=(9, 4))
    values[0, 0] = np.nan
    write_embeddings(folder / "one.parquet", {"conv5_3": values, "a.b": values}, ["only"] * 9)
    datasets.append({"name": "one", "embeddings": str(folder / "one.parquet"), "network": "clip"})
    config = image_config(folder / "out", {}, networks=[VGG], datasets=datasets)
    found = run(config)
    runs.write(found.output, runs.Run("run", config).ended(0))
    return found


@pytest.fixture(scope="module")
def opened(study: Study, spark: SparkSession) -> SparkSession:
    return views.opened(spark, study.output)


def read(study: Study, table: Any, *partition: str) -> pd.DataFrame:
    return parquet.read(study.output, table, *partition).to_pandas()


@pytest.fixture(scope="module")
def pairs(study: Study) -> pd.DataFrame:
    """True pairs that have a distance, with everything that views join to them."""
    ks = read(study, KS)
    ks = ks[(ks["labels"] == "true") & ks["ks"].notna()]
    images = read(study, TABLES["images"])[["dataset", "class_id", "class_name"]]
    frame = ks.merge(images.drop_duplicates(), on=["dataset", "class_id"])
    features = read(study, TABLES["features"])
    return frame.merge(features, on=["network", "layer", "unit"])


def assert_equal(got: pd.DataFrame, want: pd.DataFrame, key: list[str]) -> None:
    assert len(want) > 1
    columns = list(want.columns)
    got, want = (f[columns].sort_values(key).reset_index(drop=True) for f in (got, want))
    pd.testing.assert_frame_equal(got, want, check_dtype=False, rtol=1e-12)


PAIR = ["network", "dataset", "class_id", "layer", "unit"]


def test_every_table_and_view_is_there(study: Study, opened: SparkSession) -> None:
    wanted = {name for name in TABLES if study.output.files(name)} | {*VIEW_QUERIES, "runs"}
    assert set(views.present(study.output)) == wanted
    tables = sorted(wanted & set(TABLES))
    counts = " UNION ALL ".join(
        f"SELECT '{name}' AS name, COUNT(*) AS n FROM {name}" for name in tables
    )
    got = {row["name"]: row["n"] for row in opened.sql(counts).collect()}
    assert got == {name: len(parquet.read(study.output, TABLES[name])) for name in tables}
    assert opened.table("runs").first()["exit_code"] == 0


def test_every_table_has_its_stage() -> None:
    assert set(views.STAGE_OF) == {*TABLES, "runs"}


def test_class_names_come_back_unchanged(opened: SparkSession) -> None:
    got = {
        (r["dataset"], r["class_name"]): r["n_images"] for r in opened.table("classes").collect()
    }
    scenes, textures = ([names[i] for names in NAMES.values()] for i in (0, 1))
    assert got == {
        **{("objects", name): n + (name == "fish") for name, n in OBJECTS.items()},
        **{("scenes", name): n for name, n in zip(scenes, (6, 5), strict=True)},
        **{("textures", name): n for name, n in zip(textures, (6, 5), strict=True)},
        ("one", "only"): 9,
    }


def test_embeddings_have_the_layers_of_all_networks(opened: SparkSession) -> None:
    types = dict(opened.table("embeddings").dtypes)
    assert types["conv5_3"] == "array<double>"  # float by the one network, double by the other
    assert (types["fc7"], types["a.b"]) == ("array<float>", "array<double>")
    rows = opened.sql("SELECT network, size(conv5_3) n, size(fc7) m, size(`a.b`) k FROM embeddings")
    assert {tuple(row) for row in rows.collect()} == {
        ("vgg16", 64, 256, None),
        ("clip", 4, None, 4),
    }


def test_features_are_ranked_from_both_ends(opened: SparkSession, pairs: pd.DataFrame) -> None:
    def ranks(ascending: bool) -> pd.Series[int]:
        ordered = pairs.sort_values(["ks", "depth", "unit"], ascending=[ascending, True, True])
        return ordered.groupby(["network", "dataset", "class_id"]).cumcount() + 1

    want = pairs.assign(rank_high=ranks(False), rank_low=ranks(True))
    assert want.groupby(["dataset", "class_id"])["ks"].nunique().max() < 320  # there are ties
    columns = [*PAIR, "class_name", "feature", "kind", "ks", "ks_exact", "rank_high", "rank_low"]
    assert_equal(opened.table("top_features").toPandas(), want[columns], PAIR)


def test_relevant_pairs_are_strictly_beyond_the_thresholds(
    study: Study, opened: SparkSession, pairs: pd.DataFrame
) -> None:
    limits = read(study, THRESHOLDS)[["network", "dataset", "t_plus", "t_minus"]]
    frame = pairs.merge(limits, on=["network", "dataset"])
    high, low = frame["ks"] > frame["t_plus"], frame["ks"] < frame["t_minus"]
    frame["sign"] = np.where(high, "+", "-")
    frame["threshold"] = np.where(high, frame["t_plus"], frame["t_minus"])
    want = frame[high | low][[*PAIR, "class_name", "ks", "sign", "threshold"]]
    assert set(want["sign"]) == {"+", "-"}
    assert_equal(opened.table("relevant").toPandas(), want, PAIR)


def test_class_summary(study: Study, opened: SparkSession, pairs: pd.DataFrame) -> None:
    limits = read(study, THRESHOLDS)[["network", "dataset", "t_plus", "t_minus"]]
    frame = pairs.merge(limits, on=["network", "dataset"])
    frame["present"] = frame["ks"] > frame["t_plus"]
    frame["absent"] = frame["ks"] < frame["t_minus"]
    frame["mean_abs_ks"] = frame["ks"].abs()
    key = ["network", "dataset", "class_id", "class_name"]
    want = frame.groupby(key).agg({"present": "sum", "absent": "sum", "mean_abs_ks": "mean"})
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
    layers = layers[layers["labels"] == "true"].rename(columns={"q50": "median"})
    key = ["network", "dataset", "layer"]
    wide = layers.pivot(index=key, columns="sign", values=["n", "mode", "median", "kept"])
    wide.columns = [f"{name}_{'plus' if sign == '+' else 'minus'}" for name, sign in wide.columns]
    wide["kept"] = wide["kept_plus"] + wide["kept_minus"]
    wide["n_features"] = [{"conv5_3": 64, "fc7": 256}.get(layer, 4) for _, _, layer in wide.index]
    wide.loc[("clip", "one", "conv5_3"), "n_features"] = 4
    got = opened.table("layer_summary").toPandas()
    assert_equal(got, wide.astype(float).reset_index(), key)
    assert set(zip(got["layer"], got["depth"], strict=True)) >= {("conv5_3", 0), ("fc7", 1)}


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


# -- what must not happen, and mistakes ----------------------------------------------------------


def test_views_cannot_be_written_to(study: Study, opened: SparkSession) -> None:
    before = study.output.files("")
    for sql in ("INSERT INTO thresholds SELECT * FROM thresholds", "DELETE FROM thresholds"):
        with pytest.raises(KdssparkError), views.explained(study.output):
            opened.sql(sql).collect()
    assert study.output.files("") == before


def test_views_of_other_sessions_are_left_alone(study: Study, spark: SparkSession) -> None:
    spark.range(3).createOrReplaceTempView("noise")
    assert views.opened(spark, study.output).table("noise").columns[0] == "network"
    assert spark.table("noise").count() == 3
    spark.catalog.dropTempView("noise")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "Syntax error at or near 'SELEC'"),
        ("SELECT nothing FROM ks", "`nothing`"),
        ("SELECT * FROM `no such`", "`no such` cannot be found"),
        ("SELECT 1 / (class_id - class_id) FROM ks", "DIVIDE_BY_ZERO"),
        ("SELECT CAST(class_name AS INT) FROM classes", "CAST_INVALID_INPUT"),
    ],
)
def test_a_wrong_query_is_one_line(
    study: Study,
    opened: SparkSession,
    capfd: pytest.CaptureFixture[str],
    sql: str,
    message: str,
) -> None:
    with pytest.raises(ConfigError) as caught, views.explained(study.output):
        opened.sql(sql).collect()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert "SQLQueryContextLogger" not in capfd.readouterr().err


@pytest.fixture
def indexed(study: Study, tmp_path: Path) -> Output:
    """An output with nothing but its index."""
    shutil.copytree(Path(study.output.path("images")), tmp_path / "out" / "images")
    return Output.at(str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "table", "stage"),
    [
        ("ks", "ks", "measure"),
        ("THRESHOLDS", "thresholds", "summarize"),
        ("failures", "failures", "embed"),
        ("noise", "layers", "summarize"),
        ("runs", "runs", "run"),
    ],
)
def test_a_table_that_is_not_there_names_its_stage(
    indexed: Output, spark: SparkSession, name: str, table: str, stage: str
) -> None:
    assert views.present(indexed) == ["images", "classes"]
    own = views.opened(spark, indexed)
    with pytest.raises(ConfigError) as caught, views.explained(indexed):
        own.sql(f"SELECT * FROM {name}")
    assert f"got no {table} in {indexed.url}: run the {stage} stage first" in str(caught.value)


def test_registered_tables_without_files_are_empty(indexed: Output, spark: SparkSession) -> None:
    own = spark.newSession()
    views.register(own, indexed, TABLES)
    for name in set(TABLES) - {"images"}:
        declared = [c.name for c in TABLES[name].columns]
        assert own.table(name).columns[: len(declared)] == declared
    assert own.table("ks").count() == 0
    assert len(views.query(own, "SELECT DISTINCT dataset FROM images")) == 4


# -- docs/sql.md ---------------------------------------------------------------------------------


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(10))
def test_documented_queries_run_and_have_the_columns_printed(
    opened: SparkSession, number: int
) -> None:
    frame = opened.sql(_blocks("sql")[number])
    rows = frame.collect()
    assert rows
    printed = _blocks("text")[number].splitlines()
    assert printed[0].split() == frame.columns
    assert len(printed) > 1


def test_the_ten_questions_are_ten() -> None:
    assert len(_blocks("sql")) == len(_blocks("text")) == 10


def test_all_ready_made_views_are_documented() -> None:
    named = re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) == {*VIEW_QUERIES, "runs"}


@pytest.mark.parametrize("library", ["duckdb", "pandas"])
def test_other_programs_read_the_same_files(
    study: Study, pairs: pd.DataFrame, tmp_path: Path, library: str
) -> None:
    link = tmp_path / "out"  # DuckDB takes brackets in a path for a pattern, too
    link.symlink_to(study.output.path())
    (code,) = (block for block in _blocks("python") if f"import {library}" in block)
    *statements, last = code.replace("out/demo", str(link)).strip().split("\n\n")
    names: dict[str, Any] = {"duckdb": duckdb}
    exec("\n\n".join(statements), names)
    if library == "pandas":
        *more, last = last.splitlines()
        exec("\n".join(more), names)
    found = eval(last, names)["ks"].tolist()
    apple = pairs[(pairs["dataset"] == "objects") & (pairs["class_name"] == "apple")]
    assert found == apple["ks"].nlargest(10).tolist()

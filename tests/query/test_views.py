"""The views of an output, mistakes in queries, and docs/sql.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from kdsspark.errors import ConfigError, KdssparkError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.query import views
from kdsspark.query.view_queries import VIEW_QUERIES
from kdsspark.stages import STAGE_OF
from kdsspark.tables import TABLES

DOCS = Path(__file__).parents[2] / "docs" / "sql.md"


def test_every_table_and_view_is_there(study: Study, opened: SparkSession) -> None:
    wanted = {name for name in TABLES if study.output.files(name)}
    wanted |= {"image_classes", *VIEW_QUERIES, "runs"}
    assert set(views.present(study.output)) == wanted
    tables = sorted(wanted & set(TABLES))
    counts = " UNION ALL ".join(
        f"SELECT '{name}' AS name, COUNT(*) AS n FROM {name}" for name in tables
    )
    got = {row["name"]: row["n"] for row in opened.sql(counts).collect()}
    assert got == {name: len(parquet.read(study.output, TABLES[name])) for name in tables}
    assert opened.table("runs").first()["exit_code"] == 0


def test_every_table_has_its_stage() -> None:
    assert set(STAGE_OF) == {*TABLES, "runs"}


def test_embeddings_have_the_layers_of_all_networks(opened: SparkSession) -> None:
    types = dict(opened.table("embeddings").dtypes)
    assert types["fire9"] == "array<double>"  # float by the one network, double by the other
    assert (types["fc7"], types["a.b"]) == ("array<float>", "array<double>")
    rows = opened.sql("SELECT network, size(fire9) n, size(fc7) m, size(`a.b`) k FROM embeddings")
    assert {tuple(row) for row in rows.collect()} == {
        ("vgg16", 64, 256, None),
        ("clip", 4, None, 4),
    }


# -- what must not happen, and mistakes ----------------------------------------------------------


def test_views_cannot_be_written_to(study: Study, opened: SparkSession) -> None:
    before = study.output.files("")
    for sql in ("INSERT INTO thresholds SELECT * FROM thresholds", "DELETE FROM thresholds"):
        with pytest.raises(KdssparkError), views.explained(study.output, STAGE_OF):
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
    with pytest.raises(ConfigError) as caught, views.explained(study.output, STAGE_OF):
        opened.sql(sql).collect()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert "SQLQueryContextLogger" not in capfd.readouterr().err


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
    assert views.present(indexed) == ["images", "image_classes", "image_labels", "classes"]
    own = views.opened(spark, indexed)
    with pytest.raises(ConfigError) as caught, views.explained(indexed, STAGE_OF):
        own.sql(f"SELECT * FROM {name}")
    assert f"got no {table} in {indexed.url}: run the {stage} stage first" in str(caught.value)


def test_tables_asked_for_are_empty_without_files(indexed: Output, spark: SparkSession) -> None:
    own = views.opened(spark, indexed, [*TABLES, *VIEW_QUERIES])
    for name in set(TABLES) - {"images"}:
        declared = [c.name for c in TABLES[name].columns]
        assert own.table(name).columns[: len(declared)] == declared
    assert [own.table(name).count() for name in ("ks", "top_features")] == [0, 0]
    assert len(views.query(own, "SELECT DISTINCT dataset FROM images")) == 4


def test_only_what_is_asked_for_is_opened(study: Study, spark: SparkSession) -> None:
    own = views.opened(spark, study.output, ["class_summary"])
    names = {table.name for table in own.catalog.listTables() if table.isTemporary}
    assert names == {
        *("class_summary", "classes", "image_labels", "network_layers"),
        *("ks", "thresholds", "features", "images", "image_classes", "failures"),
    }


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
    study: Study, feature_classes: pd.DataFrame, tmp_path: Path, library: str
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
    chosen = (feature_classes["dataset"] == "objects") & (feature_classes["class_name"] == "apple")
    assert found == feature_classes[chosen]["ks"].nlargest(10).tolist()

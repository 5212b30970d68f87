"""Tables and views in a metastore: Spark's in-memory one, and Derby's in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyspark
import pytest
from pyspark.sql import SparkSession

from kdsspark import config
from kdsspark.config import Config, Spark
from kdsspark.errors import ConfigError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.query import catalog
from kdsspark.query.view_queries import VIEW_QUERIES
from kdsspark.tables import KS
from tests.studies import run_here, write_embeddings

LABELS = ["it's", 'b "/c"', "<script>é"] * 6
ROOT = Path(__file__).parents[2]


def _config(folder: Path, names: list[str]) -> Config:
    """Ready-made datasets with layers of awkward names."""
    datasets = []
    for seed, name in enumerate(names):
        values = np.random.default_rng(seed).normal(size=(len(LABELS), 5)).astype(np.float32)
        path = folder / f"{name}.parquet"
        write_embeddings(path, {"a.b-c": values, "D": values[:, :2]}, LABELS)
        datasets.append({"name": name, "embeddings": str(path)})
    return config.parse({"output": str(folder / "out's"), "datasets": datasets})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_here(_config(tmp_path_factory.mktemp("catalog"), ["birds"]))


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    shutil.copytree(finished.output.path(), tmp_path / "out's")
    (tmp_path / "out's" / "_definitions.json").unlink()
    return Study(_config(tmp_path, ["birds"]))


def _true_ks(study: Study) -> pd.DataFrame:
    ks = parquet.read(study.output, KS).to_pandas()
    return ks[ks["labels"] == "true"]


@pytest.fixture(scope="module")
def registered(finished: Study, spark: SparkSession) -> list[str]:
    """What the database ``shared`` has of the finished study."""
    return catalog.register(spark, finished.output, "shared")


@pytest.mark.usefixtures("registered")
def test_tables_are_external_and_partitioned(spark: SparkSession) -> None:
    own = spark.newSession()
    rows = own.sql("DESCRIBE TABLE EXTENDED shared.ks").collect()
    described = {row["col_name"]: row["data_type"] for row in rows}
    assert described["Type"] == "EXTERNAL"
    assert described["Location"].endswith("out's/ks")
    parts = [row["partition"] for row in own.sql("SHOW PARTITIONS shared.ks").collect()]
    assert parts == [
        f"network=given/dataset=birds/labels={labels}" for labels in ("shuffled", "true")
    ]


def test_views_answer_without_the_session_that_made_them(
    finished: Study, registered: list[str], spark: SparkSession
) -> None:
    assert {*VIEW_QUERIES, "ks", "embeddings"} <= set(registered)
    own = spark.newSession()
    rows = own.sql("SELECT class_name, layer, unit, ks FROM shared.top_features").toPandas()
    names = np.array(sorted(set(LABELS)))
    want = _true_ks(finished).assign(class_name=lambda ks: names[ks["class_id"]])
    key = ["class_name", "layer", "unit"]
    got, want = (f[[*key, "ks"]].sort_values(key).reset_index(drop=True) for f in (rows, want))
    pd.testing.assert_frame_equal(got, want, check_dtype=False)
    for name in VIEW_QUERIES:
        assert own.table(f"shared.{name}").columns
    assert own.sql("SELECT size(`a.b-c`) FROM shared.embeddings").first()[0] == 5


def test_registering_again_finds_new_partitions_and_drops_lost_ones(
    study: Study, spark: SparkSession, tmp_path: Path
) -> None:
    catalog.register(spark, study.output, "again")
    assert catalog.register(spark, study.output, "again")
    own = spark.newSession()
    assert {row[0] for row in own.sql("SELECT dataset FROM again.thresholds").collect()} == {
        "birds"
    }
    more = run_here(_config(tmp_path, ["birds", "fish"]))
    shutil.rmtree(tmp_path / "out's" / "survival" / "network=given" / "dataset=birds")
    catalog.register(spark, more.output, "again")
    own = spark.newSession()
    counts = own.sql("SELECT dataset, COUNT(*) FROM again.top_features GROUP BY dataset").collect()
    assert dict(map(tuple, counts)) == {"birds": 21, "fish": 21}
    parts = own.sql("SHOW PARTITIONS again.survival").collect()
    assert {row["partition"] for row in parts} == {
        f"network=given/dataset=fish/labels={labels}" for labels in ("shuffled", "true")
    }


def test_tables_without_files_are_dropped_and_what_others_made_stays(
    study: Study, spark: SparkSession
) -> None:
    """As after other settings: they, and the views that read them, would answer no more."""
    catalog.register(spark, study.output, "outdated")
    own = spark.newSession()
    own.sql("CREATE VIEW outdated.probe AS SELECT 1 AS x")  # a name of ours that is not needed
    before = {row["tableName"] for row in own.sql("SHOW TABLES IN outdated").collect()}
    assert {"layers", "layer_summary", "probe"} <= before
    for table in ("layers", "distribution"):
        shutil.rmtree(Path(study.output.path(table)))
    found = catalog.register(spark, study.output, "outdated")
    after = {row["tableName"] for row in own.sql("SHOW TABLES IN outdated").collect()}
    assert {"layers", "distribution", "layer_summary"} <= before - after
    assert after == {*found, "probe"}


def test_other_columns_replace_a_table_and_no_file(study: Study, spark: SparkSession) -> None:
    catalog.register(spark, study.output, "columns")
    own = spark.newSession()
    url = study.output.url.replace("'", "\\'")
    own.sql("DROP TABLE columns.davg")
    own.sql(
        f"CREATE TABLE columns.davg (x DOUBLE, dataset STRING) USING parquet "
        f"PARTITIONED BY (dataset) LOCATION '{url}/davg' "
        f"TBLPROPERTIES ('kdsspark.output' = '{url}')"
    )
    before = study.output.files("davg")
    catalog.register(spark, study.output, "columns")
    assert spark.newSession().table("columns.davg").columns[-2:] == ["network", "dataset"]
    assert spark.newSession().table("columns.davg").count() == 2 * 1001
    assert study.output.files("davg") == before


@pytest.mark.usefixtures("registered")
def test_what_came_from_elsewhere_is_refused(
    study: Study, finished: Study, spark: SparkSession
) -> None:
    own = spark.newSession()
    own.sql("CREATE DATABASE foreign")
    own.sql("CREATE VIEW foreign.noise AS SELECT 1 AS x")
    for name, got in (
        ("foreign", "one that kdsspark did not make"),
        ("shared", f"one of {finished.output.url}"),
    ):
        before = own.sql(f"SHOW TABLES IN {name}").collect()
        with pytest.raises(ConfigError) as caught:
            catalog.register(spark, study.output, name)
        assert f"must be new or of {study.output.url}, got {got}" in str(caught.value)
        assert own.sql(f"SHOW TABLES IN {name}").collect() == before


@pytest.mark.parametrize("name", ["", "a b", "x; DROP", "1a", "a.b", "é"])
def test_names_that_are_none_are_refused(study: Study, spark: SparkSession, name: str) -> None:
    with pytest.raises(ConfigError, match="--catalog must match"):
        catalog.register(spark, study.output, name)


def test_a_store_that_spark_cannot_read_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="Hadoop connector for, got memory://"):
        catalog.register(spark, Output.at("memory://catalog"), "nowhere")
    assert not spark.catalog.databaseExists("nowhere")


def test_a_metastore_is_hive_unless_said_otherwise() -> None:
    key = "spark.sql.catalogImplementation"
    assert catalog.with_metastore(Spark()).conf == {key: "hive"}
    own = Spark(conf={key: "in-memory", "spark.x": 1})
    assert catalog.with_metastore(own).conf == {key: "in-memory", "spark.x": 1}


_PROGRAM = """
import json, sys
from kdsspark.config import Spark
from kdsspark.query import catalog
from kdsspark.engine.starting import session
from kdsspark.output.output import Output
output, conf = sys.argv[1], json.loads(sys.argv[2])
spark = session.start(catalog.with_metastore(Spark(master="local[2]", conf=conf)))
before = [row["tableName"] for row in spark.sql("SHOW TABLES IN kept").collect()] if (
    spark.catalog.databaseExists("kept")) else []
catalog.register(spark, Output.at(output), "kept")
rows = spark.sql("SELECT dataset, COUNT(*) FROM kept.top_features GROUP BY 1 ORDER BY 1").collect()
print("found", json.dumps([len(before), [list(row) for row in rows]]))
"""


@pytest.mark.skipif(
    not list((Path(pyspark.__file__).parent / "jars").glob("spark-hive_*.jar")),
    reason="needs a Spark with Hive",
)
@pytest.mark.cluster
def test_an_embedded_metastore_outlasts_the_process(study: Study, tmp_path: Path) -> None:
    conf = {
        "spark.ui.enabled": False,
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.sql.shuffle.partitions": 2,
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={tmp_path} -XX:TieredStopAtLevel=1",
    }

    def register() -> list[object]:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, study.output.path(), json.dumps(conf)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        (line,) = (x for x in done.stdout.splitlines() if x.startswith("found "))
        found: list[object] = json.loads(line.removeprefix("found "))
        return found

    assert register() == [0, [["birds", 21]]]
    run_here(_config(tmp_path, ["birds", "fish"]))
    n_objects, rows = register()
    assert n_objects == len(catalog.views.present(study.output))
    assert rows == [["birds", 21], ["fish", 21]]
    assert (tmp_path / "metastore_db").is_dir()

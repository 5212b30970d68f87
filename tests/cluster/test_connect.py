"""A server of Spark Connect on this machine: what works by it, as docs/clusters.md says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdsspark import config
from tests.api.conftest import raw_study
from tests.studies import run_here, write_config

pytestmark = pytest.mark.cluster

PROGRAM = """
import sys
import kdsspark
from pyspark.sql import SparkSession
from kdsspark.errors import ConfigError

output, study = sys.argv[1:]
session = SparkSession.builder.remote("local[1]").getOrCreate()
assert type(session).__module__ == "pyspark.sql.connect.session"
for table in ("images", "ks", "thresholds", "embeddings"):
    where = {"network": "clip"} if table == "embeddings" else {"dataset": "birds-clip"}
    frame = kdsspark.read(output, table, format="spark", **where)
    assert type(frame).__module__.startswith("pyspark.sql.connect")
    expected = kdsspark.read(output, table, **where)
    assert frame.count() == len(expected) > 0, table
    assert frame.columns == list(expected), table
frame = kdsspark.read(output, "ks", format="spark", session=session, dataset="birds-clip")
highest = frame.where("labels = 'true'").groupBy("class_id").max("ks").toPandas()
true = kdsspark.read(output, "ks", dataset="birds-clip", labels="true")
assert dict(highest.to_numpy()) == dict(true.groupby("class_id")["ks"].max())
values = kdsspark.read(output, "embeddings", network="clip", format="spark").toPandas()
assert len(kdsspark.measure(values["image"].tolist(), values["class_name"]).ks) == 3 * 6
try:
    kdsspark.run(study)
except ConfigError as error:
    print(error)
session.stop()
"""


def test_tables_are_read_and_stages_refused(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="needs pyspark[connect]")
    study = config.parse(raw_study(tmp_path))
    run_here(study)
    other = write_config(study.model_copy(update={"output": str(tmp_path / "other")}), tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, study.output, other],
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "Spark must be classic, got Spark Connect by SPARK_CONNECT_MODE_ENABLED=1: "
        "stages run on Spark's RDDs, which Spark Connect does not have\n"
    )
    assert not (tmp_path / "other").exists()

"""Spark Connect is refused in one line before anything is started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pyspark import SparkConf

from kdsspark import config
from kdsspark.config import Spark
from kdsspark.engine.starting import connect, session
from kdsspark.errors import ConfigError
from tests.studies import command, write_embeddings

WHY = "stages run on Spark's RDDs, which Spark Connect does not have$"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPARK_REMOTE", "sc://spark.example:15002"),
        ("SPARK_API_MODE", "connect"),
        ("SPARK_CONNECT_MODE", "1"),
        ("SPARK_CONNECT_MODE_ENABLED", "1"),  # by a session that is there
    ],
)
def test_by_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    for use in (session.existing, lambda: session.start(Spark())):
        with pytest.raises(
            ConfigError, match=f"^Spark must be classic, got Spark Connect by {name}={value}: {WHY}"
        ):
            use()


@pytest.mark.parametrize(
    ("key", "value"), [("spark.remote", "sc://spark.example"), ("spark.api.mode", "connect")]
)
def test_by_the_configuration_or_by_spark_submit(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    message = f"^Spark must be classic, got Spark Connect by {{}}{key}={value}: {WHY}"
    with pytest.raises(ConfigError, match=message.format("spark.conf.")):
        session.start(Spark(conf={key: value}))
    submitted = SparkConf(loadDefaults=False).set(key, value)
    monkeypatch.setattr(session, "_submitted", lambda: submitted)  # spark-submit --remote
    with pytest.raises(ConfigError, match=message.format("")):
        session.start(Spark())


def test_classic_is_the_mode_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_API_MODE", "classic")
    monkeypatch.setenv("SPARK_CONNECT_MODE", "0")
    connect.refuse({"spark.api.mode": "classic"})


def test_a_package_for_spark_connect_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "is_remote_only", lambda: True)
    with pytest.raises(ConfigError, match=f"^pyspark must be installed whole, .* alone: {WHY}"):
        connect.refuse_client()


def test_the_command_ends_with_code_2_and_one_line(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "given.parquet", {"x": np.ones((2, 1))}, ["a", "b"])
    datasets = [{"name": "given", "embeddings": str(tmp_path / "given.parquet")}]
    given = config.parse({"output": str(tmp_path / "out"), "datasets": datasets})
    done = subprocess.run(
        command(given, tmp_path),
        env={**os.environ, "SPARK_REMOTE": "sc://spark.example"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2, done.stderr
    *progress, last = done.stderr.splitlines()
    assert last.startswith(
        "kdsspark: Spark must be classic, got Spark Connect by SPARK_REMOTE=sc://"
    )
    assert not any(line.startswith(("kdsspark:", "Traceback")) for line in progress)

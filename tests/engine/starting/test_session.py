"""When a session starts, what it is told, and what it leaves behind, which is nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pyspark import SparkConf

from kdsspark.config import Spark
from kdsspark.engine.starting import session

PROGRAM = """
from kdsspark.config import Spark
from kdsspark.engine.starting import session

import sys

settings = Spark(master="local[1]", conf={"spark.ui.enabled": False})
context = session.at_need(settings, verbose=len(sys.argv) > 1).sparkContext
total = context.accumulator(0)
context.parallelize([1, 2], 1).foreach(total.add)
assert total.value == 3
assert session.existing() is None, "tasks need no session"
spark = session.start(settings)
assert spark.sparkContext is context
assert spark.conf.get("spark.python.unix.domain.socket.enabled") == "true"
assert spark.conf.get("spark.sql.shuffle.partitions") == "8"
assert spark.range(3).count() == 3
"""


def run(*arguments: str) -> str:
    """What the program writes beside its output; it leaves nothing in the temporary folder."""
    with tempfile.TemporaryDirectory() as folder:  # short, for it is to hold sockets
        env = {**os.environ, "TMPDIR": folder}
        program = [sys.executable, "-c", PROGRAM, *arguments]
        done = subprocess.run(program, env=env, check=True, capture_output=True, text=True)
        assert [path.name for path in Path(folder).iterdir()] == []
    return done.stderr


@pytest.mark.cluster
def test_a_session_ends_without_a_word() -> None:
    assert run() == ""


@pytest.mark.cluster
def test_verbose_shows_the_whole_log_of_spark() -> None:
    log = run("verbose")
    assert " INFO SparkContext: " in log
    assert " INFO DAGScheduler: Got job 0" in log


@pytest.mark.parametrize(("mode", "starts"), [("cluster", 1), ("client", 0), (None, 0)])
def test_only_in_cluster_mode_a_session_starts_unasked(
    mode: str | None, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = SparkConf(loadDefaults=False)
    started: list[tuple[Spark, bool]] = []
    if mode:
        submitted.set("spark.submit.deployMode", mode)
    monkeypatch.setattr(session, "_submitted", lambda: submitted)

    def start(settings: Spark, verbose: bool, schedules: bool) -> str:
        assert schedules
        started.append((settings, verbose))
        return "a context"

    monkeypatch.setattr(session, "_start", start)
    at_need = session.at_need(Spark(), verbose=True)
    assert started == [(Spark(), True)] * starts
    assert [at_need.sparkContext, at_need.sparkContext] == ["a context"] * 2
    assert len(started) == 1

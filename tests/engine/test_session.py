"""When a session starts, and what it leaves behind, which is nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pyspark import SparkConf

from kdsspark.config import Spark
from kdsspark.engine import session

PROGRAM = """
import sys
from kdsspark.config import Spark
from kdsspark.engine import session

spark = session.start(Spark(master="local[1]", conf={"spark.ui.enabled": False}))
assert spark.sparkContext.parallelize([1], 1).map(str).collect() == ["1"]
assert spark.conf.get("spark.python.unix.domain.socket.enabled") == "true"
if sys.argv[1] == "keep":
    session.keep_log()
"""


@pytest.mark.parametrize("log", ["remove", "keep"])
def test_nothing_is_left_in_the_temporary_folder(log: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # short, for it is to hold sockets
        java = f"-Djava.io.tmpdir={folder}"
        env = {**os.environ, "TMPDIR": folder, "SPARK_SUBMIT_OPTS": java}
        program = [sys.executable, "-c", PROGRAM, log]
        subprocess.run(program, env=env, check=True, capture_output=True)  # the JVM's end, too
        left = [path.name for path in Path(folder).iterdir()]
    assert [name.startswith("kdsspark-") for name in left] == [True] * (log == "keep")


@pytest.mark.parametrize(("mode", "starts"), [("cluster", 1), ("client", 0), (None, 0)])
def test_only_in_cluster_mode_a_session_starts_unasked(
    mode: str | None, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = SparkConf(loadDefaults=False)
    started: list[tuple[Spark, bool]] = []
    if mode:
        submitted.set("spark.submit.deployMode", mode)
    monkeypatch.setattr(session, "_submitted", lambda: submitted)

    def start(settings: Spark, verbose: bool) -> str:
        started.append((settings, verbose))
        return "a session"

    monkeypatch.setattr(session, "start", start)
    at_need = session.at_need(Spark(), verbose=True)
    assert started == [(Spark(), True)] * starts
    assert at_need.upper() == "A SESSION"
    assert at_need.lower() == "a session"
    assert len(started) == 1

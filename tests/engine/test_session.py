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
from kdsspark.engine import machine, session

PROGRAM = """
from kdsspark.config import Spark
from kdsspark.engine import session

settings = Spark(master="local[1]", conf={"spark.ui.enabled": False})
context = session.at_need(settings).sparkContext
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


def test_a_session_ends_without_a_word_and_leaves_nothing_in_the_temporary_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:  # short, for it is to hold sockets
        env = {**os.environ, "TMPDIR": folder}
        program = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(program, env=env, check=True, capture_output=True, text=True)
        left = [path.name for path in Path(folder).iterdir()]
    assert left == []
    assert done.stderr == ""


LOGGING = """
import subprocess
import sys
from kdsspark.engine import session

child = [sys.executable, "-S", "-c", "import sys; print('from a child', file=sys.stderr)"]
with session._output(verbose=sys.argv[1] == "loud") as output:
    subprocess.run(child, check=True, stderr=output)
print("from this process", file=sys.stderr)
if sys.argv[1] == "keep":
    print(session.keep_log())
"""


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("loud", "from a child\nfrom this process\n"),
        ("quiet", "from this process\n"),
        ("keep", "from this process\n"),
    ],
    ids=["loud", "quiet", "keep"],
)
def test_what_children_write_goes_to_a_file_that_is_kept_when_somebody_is_to_read_it(
    tmp_path: Path, kind: str, shown: str
) -> None:
    program = [sys.executable, "-c", LOGGING, kind]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(program, env=env, check=True, capture_output=True, text=True)
    assert done.stderr == shown
    left = {str(path): path.read_text() for path in tmp_path.iterdir()}
    assert left == ({done.stdout.strip(): "from a child\n"} if kind == "keep" else {})


@pytest.mark.parametrize(
    ("master", "started"),
    [
        ("local", "local[1,4]"),
        ("local[*]", "local[*,4]"),
        ("local[2]", "local[2,4]"),
        ("local[2,1]", "local[2,1]"),  # as told
        ("local-cluster[2,1,1024]", "local-cluster[2,1,1024]"),
        ("spark://host:7077", "spark://host:7077"),
    ],
)
def test_local_masters_try_a_task_as_often_as_clusters_do(master: str, started: str) -> None:
    assert session._with_retries(master) == started


def test_settings_of_the_configuration_come_before_ours_and_are_texts() -> None:
    conf = {"spark.ui.enabled": False, "spark.sql.shuffle.partitions": 4, "spark.app.name": "mine"}
    found = session._defaults(Spark(conf=conf), "local[2,4]", submitted=False, schedules=False)
    assert found["spark.app.name"] == "mine"
    assert found["spark.ui.enabled"] == "false"
    assert found["spark.sql.shuffle.partitions"] == "4"
    assert found["spark.driver.host"] == "127.0.0.1"


def test_clusters_are_not_told_what_is_for_this_machine() -> None:
    found = session._defaults(Spark(), "yarn", submitted=True, schedules=False)
    assert found["spark.sql.execution.arrow.maxRecordsPerBatch"] == "1000"
    assert not {
        key for key in found if key.startswith(("spark.driver.", "spark.python.", "spark.sql.sh"))
    }
    alone = session._defaults(Spark(), "yarn", submitted=False, schedules=False)
    assert set(alone) - set(found) == {"spark.driver.defaultJavaOptions"}


@pytest.mark.parametrize(
    ("master", "schedules", "brief"),
    [("local[2,4]", True, True), ("local[2,4]", False, False), ("yarn", True, False)],
)
def test_a_jvm_that_only_schedules_compiles_once(master: str, schedules: bool, brief: bool) -> None:
    found = session._defaults(Spark(), master, submitted=False, schedules=schedules)
    assert ("-XX:TieredStopAtLevel=1" in found["spark.driver.defaultJavaOptions"]) is brief


@pytest.mark.parametrize(("length", "sockets"), [(20, True), (50, False)])
def test_a_folder_with_a_long_name_holds_no_sockets(
    monkeypatch: pytest.MonkeyPatch, length: int, sockets: bool
) -> None:
    monkeypatch.setattr(machine, "own_folder", lambda: "/".ljust(length, "x"))
    found = session._defaults(Spark(), "local[1,4]", submitted=False, schedules=False)
    assert ("spark.python.unix.domain.socket.dir" in found) is sockets
    assert ("spark.python.unix.domain.socket.enabled" in found) is sockets


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

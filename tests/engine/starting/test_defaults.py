"""Settings of Spark: those of users before ours, and ours where they fit."""

from __future__ import annotations

import pytest

from kdsspark.config import Spark
from kdsspark.engine.starting import defaults, machine


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
    assert defaults.with_retries(master) == started


def test_settings_of_the_configuration_come_before_ours_and_are_texts() -> None:
    conf = {"spark.ui.enabled": False, "spark.sql.shuffle.partitions": 4, "spark.app.name": "mine"}
    found = defaults.of(Spark(conf=conf), "local[2,4]", submitted=False, schedules=False)
    assert found["spark.app.name"] == "mine"
    assert found["spark.ui.enabled"] == "false"
    assert found["spark.sql.shuffle.partitions"] == "4"
    assert found["spark.driver.host"] == "127.0.0.1"


def test_clusters_are_not_told_what_is_for_this_machine() -> None:
    found = defaults.of(Spark(), "yarn", submitted=True, schedules=False)
    assert found["spark.sql.execution.arrow.maxRecordsPerBatch"] == "1000"
    assert not {
        key for key in found if key.startswith(("spark.driver.", "spark.python.", "spark.sql.sh"))
    }
    alone = defaults.of(Spark(), "yarn", submitted=False, schedules=False)
    assert set(alone) - set(found) == {"spark.driver.defaultJavaOptions"}


@pytest.mark.parametrize(
    ("master", "schedules", "brief"),
    [("local[2,4]", True, True), ("local[2,4]", False, False), ("yarn", True, False)],
)
def test_a_jvm_that_only_schedules_compiles_once(master: str, schedules: bool, brief: bool) -> None:
    found = defaults.of(Spark(), master, submitted=False, schedules=schedules)
    assert ("-XX:TieredStopAtLevel=1" in found["spark.driver.defaultJavaOptions"]) is brief


@pytest.mark.parametrize(("length", "sockets"), [(20, True), (50, False)])
def test_a_folder_with_a_long_name_holds_no_sockets(
    monkeypatch: pytest.MonkeyPatch, length: int, sockets: bool
) -> None:
    monkeypatch.setattr(machine, "own_folder", lambda: "/".ljust(length, "x"))
    found = defaults.of(Spark(), "local[1,4]", submitted=False, schedules=False)
    assert ("spark.python.unix.domain.socket.dir" in found) is sockets
    assert ("spark.python.unix.domain.socket.enabled" in found) is sockets

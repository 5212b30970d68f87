"""A job in which no task ends: the work items that hang are named, and it goes on or fails."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kdsspark.config import Spark
from kdsspark.engine import stalls
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stalls import RunningTask, Stalls
from kdsspark.engine.starting import defaults
from kdsspark.engine.work import run_items
from kdsspark.errors import StalledError
from kdsspark.output.names import ItemName
from kdsspark.output.receipts import Receipts
from kdsspark.output.store import Store
from tests.inprocess import Context

TASK = RunningTask(1, 3, "4 (worker-2)", 400.0)


class Clocked:
    """A clock that a test sets, and the tasks that Spark runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tasks: Sequence[RunningTask]) -> None:
        self.now, self.tasks, self.asked = 0.0, tasks, 0
        monkeypatch.setattr(stalls, "running", self._running)
        monkeypatch.setattr(stalls.time, "monotonic", lambda: self.now)

    def _running(self, _: object) -> Sequence[RunningTask]:
        self.asked += 1
        return self.tasks

    def found(self, of: Stalls, now: float, done: int) -> str | None:
        self.now = now
        return of.found(done)


def watching(after: float | None = 300.0, names: Sequence[str] = ()) -> Stalls:
    return Stalls(Context(), "embed", after, fails=False, names=names)  # type: ignore[arg-type]


def test_a_stall_is_told_once_a_period_and_forgotten_when_work_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocked, of = Clocked(monkeypatch, [TASK]), watching(names=["a", "b", "c"])
    line = "embed: no task has ended for 5 min; running: b on executor 4 (worker-2) for 7 min"
    assert clocked.found(of, 0, 10) is None
    assert clocked.found(of, 299, 10) is None
    assert clocked.asked == 0, "Spark is asked only when nothing was done for long"
    assert clocked.found(of, 300, 10) == line
    assert clocked.found(of, 301, 10) is None
    assert clocked.found(of, 600, 10) == line
    assert clocked.found(of, 900, 11) is None, "something was done"
    assert clocked.found(of, 1199, 11) is None
    assert clocked.found(of, 1200, 11) == line


@pytest.mark.parametrize(
    ("tasks", "names", "expected"),
    [
        ([TASK, RunningTask(0, 3, "1 (a)", 12.0)], ["x"] * 3, None),  # another has just begun
        ([], ["x"], "and none runs: Spark waits for executors"),
        ([TASK], ["x", "y"], "running: task 1 of 3 on executor 4"),  # tasks are no work items
        ([RunningTask(i, 7, str(i), 400 + i) for i in range(7)], list("abcdefg"), "running: g on"),
        ([RunningTask(i, 7, str(i), 400 + i) for i in range(7)], list("abcdefg"), ", and 2 more"),
    ],
)
def test_what_runs_is_named_or_waited_for(
    monkeypatch: pytest.MonkeyPatch,
    tasks: Sequence[RunningTask],
    names: Sequence[str],
    expected: str | None,
) -> None:
    clocked, of = Clocked(monkeypatch, tasks), watching(names=names)
    assert clocked.found(of, 0, 0) is None
    line = clocked.found(of, 300, 0)
    assert (line is None) if expected is None else (line is not None and expected in line)


def test_null_never_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked, of = Clocked(monkeypatch, [TASK]), watching(after=None)
    assert [clocked.found(of, now, 0) for now in (0, 1e6)] == [None, None]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Spark(), (1800.0, False)),
        (Spark(stalled_after="90s", when_stalled="fail"), (90.0, True)),
        (Spark(stalled_after=None), (None, False)),
        (Spark(conf={stalls.AFTER: "7"}), (7.0, False)),  # as spark-submit --conf would
    ],
)
def test_the_session_carries_the_settings(
    settings: Spark, expected: tuple[float | None, bool]
) -> None:
    class Configured(Context):
        def getConf(self) -> dict[str, str]:  # type: ignore[override]  # noqa: N802
            return defaults.of(settings, "local[2]", submitted=False, schedules=True)

    found = Stalls.of(Configured(), "embed")  # type: ignore[arg-type]
    assert (found.after, found.fails) == expected


@pytest.fixture
def quick(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> SparkSession:
    """A session whose stalls are told after a second."""
    conf = spark.sparkContext.getConf().set(stalls.AFTER, "1").set(stalls.FAILS, "false")
    monkeypatch.setattr(spark.sparkContext, "getConf", lambda: conf)
    return spark


def _hang(release: str, item: WorkItem) -> Outcome:
    while item.name == "second" and not Path(release).exists():
        time.sleep(0.05)
    return Outcome()


def _run(session: SparkSession, folder: Path) -> None:
    items = [WorkItem(name=ItemName(name), digest="1") for name in ("first", "second")]
    receipts = Receipts(Store(str(folder)), "embed")
    run_items(session, receipts, items, partial(_hang, str(folder / "release")), "images")


def test_a_task_that_hangs_is_named_and_waited_for(
    quick: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    def say(_: object, line: str) -> None:
        told.append(line)
        if "running: second on executor driver (" in line:  # the first may start slowly
            (tmp_path / "release").touch()

    monkeypatch.setattr("kdsspark.terminal.Progress.say", say)
    _run(quick, tmp_path)
    assert told[-1].startswith("embed: no task has ended for 1 s; running: second on executor")


def test_a_task_that_hangs_ends_the_run_if_wanted(quick: SparkSession, tmp_path: Path) -> None:
    quick.sparkContext.getConf().set(stalls.FAILS, "true")
    try:
        with pytest.raises(StalledError, match="second on executor driver"):
            _run(quick, tmp_path)
    finally:
        (tmp_path / "release").touch()
    assert not (tmp_path / "_receipts" / "embed" / "second.json").exists()

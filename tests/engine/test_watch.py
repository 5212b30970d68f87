"""A job under way: its progress is shown, and errors that every task would meet end it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from kdsspark.engine import watch as watching
from kdsspark.engine.watch import Watch, Watched
from kdsspark.errors import DatasetError, KdssparkError, PlacementError
from tests.inprocess import Context, Sum

PATIENCE = 20  # seconds


@dataclass
class Shown:
    """A line of progress; ``interrupted`` is raised when it is shown."""

    lines: list[tuple[int, int]] = field(default_factory=list)
    interrupted: BaseException | None = None

    def show(self, done: int, failed: int = 0) -> None:
        self.lines.append((done, failed))
        if self.interrupted:
            raise self.interrupted


class Cancelled(Context):
    """A context whose job ends when it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()

    def cancelJobGroup(self, group: str) -> None:  # noqa: N802 (Spark's name)
        super().cancelJobGroup(group)
        self.ended.set()

    def job(self) -> list[Any]:
        assert self.ended.wait(PATIENCE), "nobody cancelled the job"
        return []


def watch(context: Context) -> Watch:
    return Watch(context, "embed")  # type: ignore[arg-type]


def results(watched: Watch, collect: Any, progress: Any) -> list[Any]:
    return watched.results(collect, progress)


def test_results_come_back_in_order_and_what_is_done_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_POLL_SECONDS", 0.01)
    context, shown, go = Context(), Shown(), threading.Event()
    watched = watch(context)

    def collect() -> list[int]:
        watched.watched.add(5, 2)
        assert go.wait(PATIENCE)
        watched.watched.add(1)
        return [3, 1, 2]

    def show(done: int, failed: int = 0) -> None:
        shown.lines.append((done, failed))
        if done == 5:
            go.set()  # the job goes on when its first items have been shown

    shown.show = show  # type: ignore[method-assign]
    assert results(watched, collect, shown) == [3, 1, 2]
    assert shown.lines[-1] == (6, 2)
    assert (5, 2) in shown.lines
    assert context.cancelled == 0


def test_the_first_error_among_the_results_is_raised() -> None:
    def collect() -> list[object]:
        return [1, DatasetError("the first"), DatasetError("the second")]

    with pytest.raises(DatasetError, match="the first"):
        results(watch(Context()), collect, Shown())


def test_what_the_job_raises_is_raised() -> None:
    def collect() -> list[object]:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        results(watch(Context()), collect, Shown())


def test_an_error_that_all_tasks_would_meet_cancels_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_POLL_SECONDS", 0.01)
    context = Cancelled()
    watched = watch(context)
    watched.watched.refused(PlacementError("no GPU is free"))
    with pytest.raises(PlacementError, match="no GPU is free"):
        results(watched, context.job, Shown())
    assert context.cancelled == 1


def test_an_interrupt_cancels_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_POLL_SECONDS", 0.01)
    context = Cancelled()
    with pytest.raises(KeyboardInterrupt):
        results(watch(context), context.job, Shown(interrupted=KeyboardInterrupt()))
    assert context.cancelled == 1


def test_only_a_placement_error_is_reported_at_once() -> None:
    watched = Watched(Sum(0), Sum(0), Sum([]))  # type: ignore[arg-type]
    mistake, misplaced = DatasetError("2 rows"), PlacementError("no GPU")
    assert watched.refused(mistake) is mistake
    assert watched.fatal.value == []
    assert watched.refused(misplaced) is misplaced
    assert watched.fatal.value == [misplaced]


def test_errors_of_several_tasks_reach_the_driver(spark: SparkSession) -> None:
    watched = Watch(spark.sparkContext, "embed").watched

    def task(number: int) -> KdssparkError:
        watched.add(10, number)
        return watched.refused(PlacementError(f"task {number}"))

    found = spark.sparkContext.parallelize([1, 2, 3], 3).map(task).collect()
    assert [str(error) for error in found] == ["task 1", "task 2", "task 3"]
    assert sorted(map(str, watched.fatal.value)) == ["task 1", "task 2", "task 3"]
    assert (watched.done.value, watched.failed.value) == (30, 6)


def test_an_interrupt_leaves_the_other_jobs_of_the_session_alone(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Its user may run others at the same time."""
    context, seconds = spark.sparkContext, 60
    start = time.monotonic()
    ends = [tmp_path / "mine", tmp_path / "other"]
    ours, others = (context.parallelize([path], 1).map(partial(_wait, seconds)) for path in ends)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(others.collect)
        with pytest.raises(KeyboardInterrupt):
            results(Watch(context, "embed"), ours.collect, Interrupted(context))
        assert time.monotonic() - start < seconds
        ends[1].touch()
        assert other.result() == [True]


@dataclass
class Interrupted:
    """Progress that a user interrupts once both jobs run."""

    context: Any

    def show(self, *_: int) -> None:
        if len(self.context.statusTracker().getActiveJobsIds()) == 2:
            raise KeyboardInterrupt


def _wait(seconds: float, path: Path) -> bool:
    """Until the file is there; whether it is, so many seconds later at most."""
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return path.exists()

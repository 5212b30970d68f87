"""Work items: done once, committed by a receipt, safe from killed workers and double runs."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.watch import Watched
from kdsspark.engine.work import _Runner, earlier_attempts, run_items, started_beside, task_cpus
from kdsspark.errors import DatasetError, PlacementError, StartError
from kdsspark.output.names import ItemName
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt, Receipts
from tests.inprocess import InProcess, Sum, Task


@dataclass(frozen=True, kw_only=True)
class Square(WorkItem):
    number: int


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


def squares(n: int, digest: str = "d") -> list[Square]:
    return [
        Square(name=ItemName(f"net/set/{i}"), digest=digest, size=3, number=i) for i in range(n)
    ]


def write_square(output: Output, item: Square) -> Outcome:
    """Write a file and note each attempt beside it."""
    attempts = Path(output.path(f"attempts-{item.number}"))
    attempts.parent.mkdir(exist_ok=True)
    with attempts.open("a") as file:
        file.write("x")
    with output.create(f"result-{item.number}") as result:
        result.write(str(item.number**2).encode())
    return Outcome({"failed": item.number % 2, "cpus": task_cpus()}, {"write": 0.5})


def attempts(output: Output, number: int) -> int:
    return len(Path(output.path(f"attempts-{number}")).read_text())


def run(
    session: SparkSession | InProcess | None,
    output: Output,
    items: list[Square],
    task: Callable[[Square], Outcome],
    **options: Any,
) -> list[Receipt]:
    return run_items(session, output.receipts("stage"), items, task, "squares", **options)  # type: ignore[arg-type]


# -- one item, without Spark ---------------------------------------------------------------------


@dataclass
class Executor:
    """``executor(task, item)``: what an executor does with an item; what it reports meanwhile."""

    receipts: Receipts
    watched: Watched

    def __call__(self, task: Callable[[Square], Outcome], item: Square) -> Receipt | Exception:
        return _Runner(self.receipts, task, self.watched)(item)


@pytest.fixture
def executor(output: Output, task: Task) -> Executor:  # noqa: ARG001 (it runs in one)
    watched = Watched(Sum(0), Sum(0), Sum([]))  # type: ignore[arg-type]
    return Executor(output.receipts("stage"), watched)


def test_a_finished_item_is_committed_and_counted(output: Output, executor: Executor) -> None:
    item = squares(4)[3]
    receipt = executor(partial(write_square, output), item)
    assert receipt == Receipt(item.name, "d", {"failed": 1, "cpus": 1}, {"write": 0.5})
    assert executor.receipts.find(item.name) == receipt
    assert Path(output.path("result-3")).read_text() == "9"
    assert (executor.watched.done.value, executor.watched.failed.value) == (3, 1)


def test_a_late_attempt_leaves_a_commit_alone(output: Output, executor: Executor) -> None:
    """As a speculative twin does that starts when the first attempt has just finished."""
    (item,) = squares(1)
    committed = Receipt(item.name, item.digest, {"failed": 0}, {"write": 9.0})
    executor.receipts.write(committed)
    assert executor(partial(write_square, output), item) == committed
    assert not Path(output.path("attempts-0")).exists()
    assert executor.watched.done.value == 0


def test_an_old_receipt_does_not_vouch_for_files_that_are_replaced(
    output: Output, executor: Executor
) -> None:
    (old,), (new,) = squares(1, "first"), squares(1, "second")
    executor(partial(write_square, output), old)

    def killed_halfway(item: Square) -> Outcome:
        found = executor.receipts.find(item.name)
        assert found
        assert found.digest == ""
        raise OSError("killed halfway")

    with pytest.raises(OSError, match="killed halfway"):
        executor(killed_halfway, new)
    assert executor.receipts.find(old.name) == Receipt(
        old.name, "", {"failed": 0, "cpus": 1}, {"write": 0.5}
    )
    executor(partial(write_square, output), old)  # its files are a mixture, so it is done again
    assert attempts(output, 0) == 2


@pytest.mark.parametrize("error", [DatasetError("2 rows"), PlacementError("no GPU")])
def test_a_users_mistake_is_returned_and_not_committed(executor: Executor, error: Any) -> None:
    def mistaken(_: Square) -> Outcome:
        raise error

    (item,) = squares(1)
    assert executor(mistaken, item) is error
    assert executor.receipts.find(item.name) is None
    assert executor.watched.done.value == 0
    # Other tasks would meet a PlacementError, too, so the driver hears of it at once.
    assert executor.watched.fatal.value == ([error] if isinstance(error, PlacementError) else [])


@pytest.mark.parametrize(("granted", "cpus"), [(None, 2), (5, 5)])
def test_a_task_computes_on_the_cpus_that_it_has(
    output: Output, task: Task, granted: int | None, cpus: int
) -> None:
    task.n_cpus, seen = 2, []

    def note(_: Square) -> Outcome:
        seen.append((task_cpus(), pa.cpu_count()))
        return Outcome()

    _Runner(output.receipts("stage"), note, Watched(Sum(0), Sum(0), Sum([])), granted)(  # type: ignore[arg-type]
        squares(1)[0]
    )
    assert seen == [(cpus, cpus)]


def test_attempts_are_counted_from_the_second(task: Task) -> None:
    task.attempt = 2
    assert earlier_attempts() == 2


def test_outside_of_tasks_there_was_no_attempt() -> None:
    assert earlier_attempts() == 0


# -- all items, without Spark --------------------------------------------------------------------


def test_items_run_once_and_again_only_when_their_digest_changes(
    in_process: InProcess, output: Output
) -> None:
    task = partial(write_square, output)
    first = run(in_process, output, squares(7), task)
    assert [r.item for r in first] == [f"net/set/{i}" for i in range(7)]
    assert first[3].counts == {"failed": 1, "cpus": 1}
    assert run(in_process, output, squares(7), task) == first
    assert in_process.sparkContext.jobs == [7]
    changed = [*squares(6), *squares(7, "other")[6:]]
    again = run(in_process, output, changed, task)
    assert [r.digest for r in again] == ["d"] * 6 + ["other"]
    assert in_process.sparkContext.jobs == [7, 1]
    assert [attempts(output, i) for i in range(7)] == [1] * 6 + [2]


def test_nothing_to_do_needs_no_spark(output: Output) -> None:
    assert run(None, output, [], partial(write_square, output)) == []
    (item,) = squares(1)
    done = Receipt(item.name, item.digest)
    output.receipts("stage").write(done)
    assert run(None, output, [item], partial(write_square, output)) == [done]


def test_few_items_at_a_time_share_the_cores(in_process: InProcess, output: Output) -> None:
    in_process.sparkContext.defaultParallelism = 9
    done = run(in_process, output, squares(7), partial(write_square, output), at_once=2)
    assert in_process.sparkContext.jobs == [2, 2, 2, 1]
    assert [receipt.counts["cpus"] for receipt in done] == [4] * 7


def test_no_wave_follows_a_misplaced_task(in_process: InProcess, output: Output) -> None:
    task = partial(_misplaced, output, seconds=0)
    with pytest.raises(PlacementError):
        run(in_process, output, squares(40), task, at_once=1)
    assert list(output.receipts("stage").all()) == ["net/set/0"]


def test_items_travel() -> None:
    (item,) = squares(1)
    copy = pickle.loads(pickle.dumps(item))
    assert copy == item
    assert copy.name.part == "0"


# -- by Spark ------------------------------------------------------------------------------------


def test_spark_runs_an_item_a_task_and_returns_them_in_order(
    spark: SparkSession, output: Output
) -> None:
    task = partial(write_square, output)
    done = run(spark, output, squares(7), task)
    assert [r.item for r in done] == [f"net/set/{i}" for i in range(7)]
    assert done[3].counts == {"failed": 1, "cpus": 1}
    assert done[3].seconds == {"write": 0.5}
    assert output.receipts("stage").all() == {receipt.item: receipt for receipt in done}


def _mistake(output: Output, item: Square) -> Outcome:
    outcome = write_square(output, item)
    if item.number == 1:
        raise DatasetError("rows must have 3 values, got 2")
    return outcome


def test_a_users_mistake_is_not_tried_again(spark: SparkSession, output: Output) -> None:
    with pytest.raises(DatasetError, match="must have 3 values, got 2"):
        run(spark, output, squares(3), partial(_mistake, output))
    assert attempts(output, 1) == 1
    assert output.receipts("stage").all().keys() == {"net/set/0", "net/set/2"}


def _misplaced(output: Output, item: Square, seconds: float = 0.5) -> Outcome:
    if item.number == 1:
        raise PlacementError("GPU 0 is used by another task")
    time.sleep(seconds)
    return write_square(output, item)


def test_misplaced_tasks_end_the_stage_at_once(spark: SparkSession, output: Output) -> None:
    with pytest.raises(PlacementError, match=r"^GPU 0 is used by another task$"):
        run(spark, output, squares(40), partial(_misplaced, output))
    assert len(output.receipts("stage").all()) < 20


def _killed_once(output: Output, item: Square) -> Outcome:
    outcome = write_square(output, item)
    if attempts(output, item.number) == 1:
        with output.create(f"half-{item.number}") as half:
            half.write(b"half a file")
            half.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    return outcome


def test_killed_workers_are_retried_and_leave_no_half_file(
    spark: SparkSession, output: Output
) -> None:
    found = run(spark, output, squares(4), partial(_killed_once, output))
    assert len(found) == 4
    assert [attempts(output, i) for i in range(4)] == [2] * 4
    assert [p for p in output.files("") if p.startswith("half")] == []
    output.clean("")
    assert not [p for p in Path(output.path()).iterdir() if p.name.startswith(".tmp-")]


def _fails(output: Output, item: Square) -> Outcome:
    write_square(output, item)
    raise OSError("no space left on device")


def test_other_errors_are_retried_then_end_the_stage(spark: SparkSession, output: Output) -> None:
    with pytest.raises(Exception, match="no space left on device"):
        run(spark, output, squares(1), partial(_fails, output))
    assert attempts(output, 0) == 4
    assert not output.receipts("stage").all()


def _frozen(_: Square) -> Outcome:
    return Outcome({"frozen": gc.get_freeze_count()})


def test_what_workers_import_is_left_out_when_garbage_is_collected(
    spark: SparkSession, output: Output
) -> None:
    done = run(spark, output, squares(9), _frozen)
    frozen = sorted(receipt.counts["frozen"] for receipt in done)
    # Without a freeze there are none; the package and what it imports make tens of thousands.
    # Each of the two workers freezes them after its first item.
    assert len(frozen) == 9
    assert min(frozen[2:]) > 10_000


@dataclass(frozen=True)
class Slow:
    """A session that starts when ``ready`` is set, or raises."""

    ready: threading.Event
    fails: bool = False

    @property
    def sparkContext(self) -> str:  # noqa: N802 (Spark's name)
        assert self.ready.wait(20)
        if self.fails:
            raise StartError("no Java")
        return "a context"


def test_a_session_that_starts_is_waited_for_when_it_is_used() -> None:
    ready = threading.Event()
    with started_beside(Slow(ready)) as session:
        ready.set()  # reached while it starts
        assert session.sparkContext == "a context"


def test_who_uses_a_session_that_does_not_start_is_told() -> None:
    ready = threading.Event()
    ready.set()
    with (
        started_beside(Slow(ready, fails=True)) as session,
        pytest.raises(StartError, match="no Java"),
    ):
        _ = session.sparkContext

"""Work units: done once, committed by a receipt, safe from killed workers and double runs."""

from __future__ import annotations

import gc
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kdsspark.engine import work as units
from kdsspark.engine.work import Outcome, Unit, task_cpus
from kdsspark.errors import DatasetError, PlacementError
from kdsspark.output import receipts
from kdsspark.output.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(str(tmp_path / "out"))


def _work(store: Store, number: int) -> Outcome:
    """Write a file and note each attempt beside it."""
    attempts = Path(store.path(f"attempts-{number}"))
    attempts.parent.mkdir(exist_ok=True)
    with attempts.open("a") as file:
        file.write("x")
    with store.create(f"result-{number}") as result:
        result.write(str(number * number).encode())
    return Outcome({"failed": number % 2, "cpus": task_cpus()}, {"write": 0.5})


def _units(n: int, digest: str = "d") -> list[Unit]:
    return [Unit(f"net/set/{i}", digest, i, items=3) for i in range(n)]


def _attempts(store: Store, number: int) -> int:
    return len(Path(store.path(f"attempts-{number}")).read_text())


def test_units_run_once_and_again_only_when_their_digest_changes(
    spark: SparkSession, store: Store
) -> None:
    task = partial(_work, store)
    first = units.run(spark, store, "stage", _units(7), task, "items")
    assert [r.unit for r in first] == [f"net/set/{i}" for i in range(7)]
    assert first[3].counts == {"failed": 1, "cpus": 1}
    assert first[3].seconds == {"write": 0.5}
    assert units.run(spark, store, "stage", _units(7), task, "items") == first
    assert [_attempts(store, i) for i in range(7)] == [1] * 7
    changed = [*_units(6), *_units(7, "other")[6:]]
    units.run(spark, store, "stage", changed, task, "items")
    assert [_attempts(store, i) for i in range(7)] == [1] * 6 + [2]


def test_another_stage_and_another_dataset_are_not_mixed(spark: SparkSession, store: Store) -> None:
    task = partial(_work, store)
    units.run(spark, store, "stage", _units(2), task, "items")
    units.run(spark, store, "stages", _units(2), task, "items")
    assert _attempts(store, 0) == 2
    assert len(receipts.read(store, "stage", "net/set")) == 2
    assert not receipts.read(store, "stage", "net/se")


def _mistake(store: Store, number: int) -> Outcome:
    outcome = _work(store, number)
    if number == 1:
        raise DatasetError("rows must have 3 values, got 2")
    return outcome


def test_a_users_mistake_is_not_tried_again(spark: SparkSession, store: Store) -> None:
    with pytest.raises(DatasetError, match="must have 3 values, got 2"):
        units.run(spark, store, "stage", _units(3), partial(_mistake, store), "items")
    assert _attempts(store, 1) == 1
    assert "net/set/1" not in receipts.read(store, "stage")
    assert "net/set/0" in receipts.read(store, "stage")


def _misplaced(store: Store, number: int, seconds: float = 0.5) -> Outcome:
    if number == 1:
        raise PlacementError("GPU 0 is used by another task")
    time.sleep(seconds)
    return _work(store, number)


def test_misplaced_tasks_end_the_stage_at_once(spark: SparkSession, store: Store) -> None:
    with pytest.raises(PlacementError, match=r"^GPU 0 is used by another task$"):
        units.run(spark, store, "stage", _units(40), partial(_misplaced, store), "items")
    assert len(receipts.read(store, "stage")) < 20


def test_no_wave_follows_a_misplaced_task(spark: SparkSession, store: Store) -> None:
    task = partial(_misplaced, store, seconds=0)
    with pytest.raises(PlacementError):
        units.run(spark, store, "stage", _units(40), task, "items", at_once=1)
    assert list(receipts.read(store, "stage")) == ["net/set/0"]


def _killed_once(store: Store, number: int) -> Outcome:
    outcome = _work(store, number)
    if _attempts(store, number) == 1:
        with store.create(f"half-{number}") as half:
            half.write(b"half a file")
            half.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    return outcome


def test_killed_workers_are_retried_and_leave_no_half_file(
    spark: SparkSession, store: Store
) -> None:
    found = units.run(spark, store, "stage", _units(4), partial(_killed_once, store), "i")
    assert len(found) == 4
    assert [_attempts(store, i) for i in range(4)] == [2] * 4
    assert [p for p in store.files("") if p.startswith("half")] == []
    store.clean("")
    assert not [p for p in Path(store.path()).iterdir() if p.name.startswith(".tmp-")]


def _fails(store: Store, number: int) -> Outcome:
    _work(store, number)
    raise OSError("no space left on device")


def test_other_errors_are_retried_then_end_the_stage(spark: SparkSession, store: Store) -> None:
    with pytest.raises(Exception, match="no space left on device"):
        units.run(spark, store, "stage", _units(1), partial(_fails, store), "items")
    assert _attempts(store, 0) == 4
    assert not receipts.read(store, "stage")


def test_no_units_need_no_spark_job(spark: SparkSession, store: Store) -> None:
    assert units.run(spark, store, "stage", [], partial(_work, store), "items") == []


def _never_ends(store: Store, number: int) -> Outcome:
    outcome = _work(store, number)
    if _attempts(store, number) > 1:
        raise OSError("killed halfway")
    return outcome


def test_a_unit_killed_while_its_files_are_replaced_is_not_done(
    spark: SparkSession, store: Store
) -> None:
    task = partial(_never_ends, store)
    units.run(spark, store, "stage", _units(1, "first"), task, "items")
    with pytest.raises(Exception, match="killed halfway"):
        units.run(spark, store, "stage", _units(1, "second"), task, "items")
    assert receipts.read(store, "stage")["net/set/0"].digest == ""
    units.run(spark, store, "stage", _units(1, "first"), partial(_work, store), "items")
    assert receipts.read(store, "stage")["net/set/0"].digest == "first"
    assert _attempts(store, 0) == 6


def test_a_late_attempt_leaves_a_commit_alone(spark: SparkSession, store: Store) -> None:
    """As a speculative twin does that starts when the first attempt has just finished."""
    unit = _units(1)[0]
    committed = receipts.Receipt(unit.name, unit.digest, {"failed": 0}, {"write": 9.0})
    receipts.write(store, "stage", committed)
    runner = units._Runner(
        store,
        "stage",
        partial(_work, store),
        *(spark.sparkContext.accumulator(0) for _ in "ab"),
        spark.sparkContext.accumulator([], units._Concatenated()),
    )
    (found,) = spark.sparkContext.parallelize([unit], 1).map(runner).collect()
    assert found == committed
    assert not Path(store.path("attempts-0")).exists()


def _frozen(_: int) -> Outcome:
    return Outcome({"frozen": gc.get_freeze_count()})


def test_what_workers_import_is_left_out_when_garbage_is_collected(
    spark: SparkSession, store: Store
) -> None:
    done = units.run(spark, store, "stage", _units(9), _frozen, "items")
    frozen = sorted(receipt.counts["frozen"] for receipt in done)
    # Without a freeze there are none; the package and what it imports make tens of thousands.
    # Each of the two workers freezes them after its first unit.
    assert all(count > 10_000 for count in frozen[2:])

"""The one mechanism behind every heavy stage: named work units, run where receipts are missing.

A unit writes its own files, each whole or absent, and then its receipt. Whether it runs once,
twice at the same time (speculation) or again after a crash, the files are the same. A stage is
one Spark job over the units whose receipt is missing or tells of other inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from pyspark import Accumulator, SparkContext, TaskContext
from pyspark.sql import SparkSession

from kdsspark.errors import KdssparkError
from kdsspark.progress import Progress
from kdsspark.storage import receipts
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt

_POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Unit:
    """A deterministic piece of work. ``work`` is what its task is called with."""

    name: str  # stable; folders of it (network/dataset/...) select receipts
    digest: str  # of everything that determines its files
    work: Any
    items: int = 1  # for progress, in the stage's unit of counting


@dataclass(frozen=True)
class Outcome:
    """What a task tells of a unit it finished; ``counts["failed"]`` is shown while running."""

    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


Task = Callable[[Any], Outcome]


def run(
    session: SparkSession, store: Store, stage: str, units: Sequence[Unit], task: Task, counted: str
) -> list[Receipt]:
    """Run the units that are not done, show progress in ``counted``, return all receipts (driver).

    A :class:`KdssparkError` in a task is raised when the other units are done, without retries,
    since trying again would not mend a user's mistake; any other error is retried as Spark is
    told to.
    """
    done = _receipts_of(store, stage, units)
    todo = [u for u in units if u.name not in done or done[u.name].digest != u.digest]
    with Progress(stage, sum(u.items for u in todo), counted) as progress:
        fresh = _run_all(session.sparkContext, store, stage, todo, task, progress) if todo else []
    done |= {receipt.unit: receipt for receipt in fresh}
    return [done[u.name] for u in units]


def _receipts_of(store: Store, stage: str, units: Sequence[Unit]) -> dict[str, Receipt]:
    folders = sorted({unit.name.rpartition("/")[0] for unit in units})
    return {
        name: receipt
        for folder in folders
        for name, receipt in receipts.read(store, stage, folder).items()
    }


def _run_all(
    context: SparkContext,
    store: Store,
    stage: str,
    units: Sequence[Unit],
    task: Task,
    progress: Progress,
) -> list[Receipt]:
    items, failed = context.accumulator(0), context.accumulator(0)
    runner = _Runner(store, stage, task, items, failed)
    tasks = context.parallelize(units, len(units)).map(runner)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(tasks.collect)
        _watch(context, job, lambda: progress.show(items.value, failed.value))
    results = job.result()
    for result in results:
        if isinstance(result, KdssparkError):
            raise result
    return [result for result in results if isinstance(result, Receipt)]


def _watch(context: SparkContext, job: Future[Any], show: Callable[[], None]) -> None:
    try:
        while wait_for([job], _POLL_SECONDS).not_done:
            show()
        show()
    except KeyboardInterrupt:
        context.cancelAllJobs()
        raise


@dataclass(frozen=True)
class _Runner:
    """What an executor does with one unit."""

    store: Store
    stage: str
    task: Task
    items: Accumulator[int]
    failed: Accumulator[int]

    def __call__(self, unit: Unit) -> Receipt | KdssparkError:
        pa.set_cpu_count(task_cpus())
        committed = receipts.find(self.store, self.stage, unit.name)
        if committed and committed.digest == unit.digest:
            return committed  # by another attempt at the same unit
        if committed:
            # Killed halfway, its files would be of two kinds under a receipt that speaks of one.
            receipts.write(self.store, self.stage, replace(committed, digest=""))
        try:
            outcome = self.task(unit.work)
        except KdssparkError as error:
            return error
        receipt = Receipt(unit.name, unit.digest, dict(outcome.counts), dict(outcome.seconds))
        receipts.write(self.store, self.stage, receipt)
        self.items.add(unit.items)
        self.failed.add(outcome.counts.get("failed", 0))
        return receipt


def task_cpus() -> int:
    """CPUs Spark gave to the running task (``spark.task.cpus``)."""
    context = TaskContext.get()
    assert context is not None, "only inside a Spark task"
    return context.cpus()

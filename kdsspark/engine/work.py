"""The one mechanism behind every heavy stage: named work items, run where receipts are missing.

A work item writes its own files, each whole or absent, and then its receipt. Whether it runs once,
twice at the same time (speculation) or again after a crash, the files are the same. A stage is
one Spark job over the work items whose receipt is missing or has another digest.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol, TypeVar

import pyarrow as pa
from pyspark import RDD, SparkContext, TaskContext

from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.watch import Watch, Watched
from kdsspark.errors import KdssparkError
from kdsspark.output.receipts import Receipt, Receipts
from kdsspark.terminal import Progress


class Session(Protocol):
    """What the stages use of Spark: a ``SparkSession``, or less where none is needed."""

    @property
    def sparkContext(self) -> SparkContext:  # noqa: N802 (Spark's name)
        """The context, which runs tasks."""


@contextmanager
def started_beside(session: Session) -> Iterator[Session]:
    """The session, which starts while the block does other things.

    Whoever uses it waits until it has started. That raises what the start raises.
    """
    with ThreadPoolExecutor(1) as beside:
        yield _Starting(beside.submit(lambda: session.sparkContext))


@dataclass(frozen=True)
class _Starting:
    """A session that is waited for when it is used."""

    started: Future[SparkContext]

    @property
    def sparkContext(self) -> SparkContext:  # noqa: N802 (Spark's name)
        return self.started.result()


Item = TypeVar("Item", bound=WorkItem)
Task = Callable[[Item], Outcome]
Spread = Callable[[Session, Sequence[Item]], "RDD[Item]"]


def parallelize(session: Session, items: Sequence[Item]) -> RDD[Item]:
    """One Spark task a work item."""
    return session.sparkContext.parallelize(items, len(items))


def run_items(
    session: Session,
    receipts: Receipts,
    items: Sequence[Item],
    task: Task[Item],
    counted: str,
    spread: Spread[Item] = parallelize,
    at_once: int | None = None,
) -> list[Receipt]:
    """Run the work items that are not done and return the receipts of all (driver).

    Progress is shown in ``counted``, the plural of what an item's ``size`` counts. ``spread``
    makes one Spark task of each item; it may complete what an item needs on the way. ``at_once``
    limits how many run at a time, each with its share of the cores.

    A :class:`KdssparkError` in a task is raised when the other items are done, without retries,
    since trying again would not mend a user's mistake. A :class:`PlacementError`, which the others
    would meet as well, is raised at once. Any other error is retried as Spark is configured to.
    """
    done = receipts.named(item.name for item in items)
    todo = [i for i in items if i.name not in done or done[i.name].digest != i.digest]
    with Progress(receipts.stage, sum(item.size for item in todo), counted) as progress:
        if todo:
            job = _Job(session, receipts, task, spread, at_once)
            done |= {receipt.item: receipt for receipt in job.run(todo, progress)}
    return [done[item.name] for item in items]


@dataclass(frozen=True)
class _Job:
    """How the work items of a stage are run (driver)."""

    session: Session
    receipts: Receipts
    task: Callable[..., Outcome]
    spread: Callable[..., RDD[WorkItem]]
    at_once: int | None

    def run(self, items: Sequence[WorkItem], progress: Progress) -> list[Receipt]:
        cpus = self._cpus(self.at_once) if self.at_once else None
        watch = Watch(self.session.sparkContext, self.receipts.stage)
        runner = _Runner(self.receipts, self.task, watch.watched, cpus)
        return watch.results(lambda: self._collect(items, runner, watch), progress)

    def _cpus(self, at_once: int) -> int:
        return max(1, self.session.sparkContext.defaultParallelism // at_once)

    def _collect(
        self, items: Sequence[WorkItem], runner: _Runner, watch: Watch
    ) -> list[Receipt | KdssparkError]:
        """One Spark job, or one after the other where few items may run at a time."""
        size = self.at_once or len(items)
        results: list[Receipt | KdssparkError] = []
        for start in range(0, len(items), size):
            if watch.fatal:
                break
            watch.runs([item.name for item in items[start : start + size]])
            wave = self.spread(self.session, items[start : start + size])
            results += wave.map(runner).collect()
        return results


@dataclass(frozen=True)
class _Runner:
    """What an executor does with one work item."""

    receipts: Receipts
    task: Callable[..., Outcome]
    watched: Watched
    cpus: int | None = None  # of a task; null: as Spark says

    def __call__(self, item: WorkItem) -> Receipt | KdssparkError:
        _grant(self.cpus)
        pa.set_cpu_count(task_cpus())
        committed = self.receipts.find(item.name)
        if committed and committed.digest == item.digest:
            return committed  # by another attempt at the same item
        if committed:
            # If this task is killed, the item's files are a mixture of old and new ones; the old
            # receipt must not vouch for them.
            self.receipts.write(replace(committed, digest=""))
        try:
            outcome = self.task(item)
        except KdssparkError as error:
            return self.watched.refused(error)
        finally:
            freeze_modules()
        receipt = Receipt(item.name, item.digest, dict(outcome.counts), dict(outcome.seconds))
        self.receipts.write(receipt)
        self.watched.add(item.size, outcome.counts.get("failed", 0))
        return receipt


def freeze_modules() -> None:
    """Exempt imported modules from garbage collection, which PySpark runs after every task.

    With torch imported that costs 0.18 s of a core, more than all else in a small task.
    """
    _freeze(len(sys.modules))


@cache
def _freeze(n_modules: int) -> None:  # noqa: ARG001 (once more when more are imported)
    gc.collect()
    gc.freeze()


_granted: int | None = None  # set by each work item, since Spark uses a process again


def _grant(cpus: int | None) -> None:
    global _granted
    _granted = cpus


def task_cpus() -> int:
    """CPUs of the running task: what Spark gave it (``spark.task.cpus``), more if few run."""
    context = TaskContext.get()
    assert context is not None, "only inside a Spark task"
    return _granted or context.cpus()


def earlier_attempts() -> int:
    """How many attempts at the running task came before this one (executor)."""
    context = TaskContext.get()
    return 0 if context is None else context.attemptNumber()

"""The one mechanism behind every heavy stage: named work units, run where receipts are missing.

A unit writes its own files, each whole or absent, and then its receipt. Whether it runs once,
twice at the same time (speculation) or again after a crash, the files are the same. A stage is
one Spark job over the units whose receipt is missing or tells of other inputs.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pyarrow as pa
from pyspark import RDD, Accumulator, AccumulatorParam, SparkContext, TaskContext
from pyspark.sql import SparkSession

from kdsspark.errors import KdssparkError, PlacementError
from kdsspark.output import receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.terminal import Progress

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
Spread = Callable[[SparkContext, Sequence[Unit]], "RDD[Unit]"]


def parallelize(context: SparkContext, units: Sequence[Unit]) -> RDD[Unit]:
    """One Spark task a unit."""
    return context.parallelize(units, len(units))


def run(
    session: SparkSession,
    store: Store,
    stage: str,
    units: Sequence[Unit],
    task: Task,
    counted: str,
    spread: Spread = parallelize,
    at_once: int | None = None,
) -> list[Receipt]:
    """Run the units that are not done, show progress in ``counted``, return all receipts (driver).

    ``spread`` makes the tasks of them; it may complete what their work needs on the way.
    ``at_once`` limits how many run at a time, each with its share of the cores.

    A :class:`KdssparkError` in a task is raised when the other units are done, without retries,
    since trying again would not mend a user's mistake; a :class:`PlacementError`, which the others
    would meet as well, is raised at once. Any other error is retried as Spark is told to.
    """
    done = _receipts_of(store, stage, [u.name for u in units])
    todo = [u for u in units if u.name not in done or done[u.name].digest != u.digest]
    with Progress(stage, sum(u.items for u in todo), counted) as progress:
        if todo:
            job = _Job(session.sparkContext, store, stage, task, spread, at_once)
            done |= {receipt.unit: receipt for receipt in job.run(todo, progress)}
    return [done[u.name] for u in units]


def finished(store: Store, stage: str, digests: Mapping[str, str]) -> bool:
    """Whether every unit (name -> digest) has its receipt."""
    found = _receipts_of(store, stage, list(digests))
    return all(name in found and found[name].digest == d for name, d in digests.items())


def prune(
    store: Store,
    stage: str,
    prefix: str,
    wanted: Collection[str],
    parts: Mapping[str, Collection[str]],
) -> None:
    """Remove what no unit of a stage makes any more, before new parts appear beside it.

    Of the receipts below ``prefix`` those of ``wanted`` units stay; ``parts`` has, for each folder
    that units write to, the names of the files that stay.
    """
    for unit in receipts.read(store, stage, prefix):
        if unit not in wanted:
            receipts.remove(store, stage, unit)
    for folder, names in parts.items():
        store.clean(folder)
        for path in store.files(folder):
            if path.rsplit("/", 1)[-1].removesuffix(".parquet") not in names:
                store.remove(path)


def _receipts_of(store: Store, stage: str, names: Sequence[str]) -> dict[str, Receipt]:
    folders = sorted({name.rpartition("/")[0] for name in names})
    return {
        name: receipt
        for folder in folders
        for name, receipt in receipts.read(store, stage, folder).items()
    }


@dataclass(frozen=True)
class _Job:
    """How the units of a stage are run (driver)."""

    context: SparkContext
    store: Store
    stage: str
    task: Task
    spread: Spread
    at_once: int | None

    def run(self, units: Sequence[Unit], progress: Progress) -> list[Receipt]:
        items, failed = self.context.accumulator(0), self.context.accumulator(0)
        fatal: Accumulator[list[KdssparkError]] = self.context.accumulator([], _Concatenated())
        cpus = max(1, self.context.defaultParallelism // self.at_once) if self.at_once else None
        runner = _Runner(self.store, self.stage, self.task, items, failed, fatal, cpus)
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(self._collect, units, runner)
            self._watch(job, lambda: progress.show(items.value, failed.value), fatal)
        results = job.result()
        for result in results:
            if isinstance(result, KdssparkError):
                raise result
        return [result for result in results if isinstance(result, Receipt)]

    def _collect(self, units: Sequence[Unit], runner: _Runner) -> list[Receipt | KdssparkError]:
        """One Spark job, or one after the other where few units may run at a time."""
        size = self.at_once or len(units)
        results: list[Receipt | KdssparkError] = []
        for start in range(0, len(units), size):
            if runner.fatal.value:
                break
            wave = self.spread(self.context, units[start : start + size])
            results += wave.map(runner).collect()
        return results

    def _watch(
        self,
        job: Future[Any],
        show: Callable[[], None],
        fatal: Accumulator[list[KdssparkError]],
    ) -> None:
        try:
            while wait_for([job], _POLL_SECONDS).not_done:
                show()
                if fatal.value:
                    raise fatal.value[0]
            show()
        except (KeyboardInterrupt, KdssparkError):
            self.context.cancelAllJobs()
            raise


class _Concatenated(AccumulatorParam[list[KdssparkError]]):
    """Errors of several tasks, in any order."""

    def zero(self, value: list[KdssparkError]) -> list[KdssparkError]:
        return value[:0]

    def addInPlace(  # noqa: N802 (Spark's name)
        self, value1: list[KdssparkError], value2: list[KdssparkError]
    ) -> list[KdssparkError]:
        return value1 + value2


@dataclass(frozen=True)
class _Runner:
    """What an executor does with one unit."""

    store: Store
    stage: str
    task: Task
    items: Accumulator[int]
    failed: Accumulator[int]
    fatal: Accumulator[list[KdssparkError]]
    cpus: int | None = None  # of a task; null: as Spark says

    def __call__(self, unit: Unit) -> Receipt | KdssparkError:
        _grant(self.cpus)
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
            if isinstance(error, PlacementError):
                self.fatal.add([error])  # reaches the driver while other units run
            return error
        finally:
            _freeze(len(sys.modules))
        receipt = Receipt(unit.name, unit.digest, dict(outcome.counts), dict(outcome.seconds))
        receipts.write(self.store, self.stage, receipt)
        self.items.add(unit.items)
        self.failed.add(outcome.counts.get("failed", 0))
        return receipt


@cache
def _freeze(n_modules: int) -> None:  # noqa: ARG001 (once more when more are imported)
    """Leave out what is imported when garbage is collected, which PySpark does after every task.

    With torch imported that is 0.18 s of a core, more than all else that a small task costs.
    """
    gc.collect()
    gc.freeze()


_granted: int | None = None  # set by each unit, since Spark uses a process again


def _grant(cpus: int | None) -> None:
    global _granted
    _granted = cpus


def task_cpus() -> int:
    """CPUs of the running task: what Spark gave it (``spark.task.cpus``), more if few run."""
    context = TaskContext.get()
    assert context is not None, "only inside a Spark task"
    return _granted or context.cpus()

"""Spark's part of the engine in one process: executor code runs where the test runs.

Work items and files are pickled on the way, as Spark does; functions are not, so that a test can
look at what its tasks did. Nothing is tried again.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from pyspark import SparkConf, TaskContext

from kdsspark.engine import work
from kdsspark.engine.starting import session


class Tasks:
    """An RDD with one row a partition."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = rows

    def map(self, call: Callable[[Any], Any]) -> Tasks:
        return Tasks(call(row) for row in self._rows)

    def flatMap(self, call: Callable[[Any], Iterable[Any]]) -> Tasks:  # noqa: N802 (Spark's name)
        return Tasks(found for row in self._rows for found in call(row))

    def groupByKey(self, _: int, place: Callable[[Any], int]) -> Tasks:  # noqa: N802
        found: dict[Any, list[Any]] = {}
        for key, value in self._rows:
            assert isinstance(place(key), int)
            found.setdefault(key, []).append(value)
        return Tasks(found.items())

    def mapValues(self, call: Callable[[Any], Any]) -> Tasks:  # noqa: N802 (Spark's name)
        return Tasks((key, call(value)) for key, value in self._rows)

    def reduceByKey(self, merge: Callable[[Any, Any], Any], _: int) -> Tasks:  # noqa: N802
        return Tasks(self._reduced(merge))

    def collect(self) -> list[Any]:
        return list(self._rows)

    def _reduced(self, merge: Callable[[Any, Any], Any]) -> Iterator[tuple[Any, Any]]:
        found: dict[Any, Any] = {}
        for key, value in self._rows:
            found[key] = merge(found[key], value) if key in found else value
        yield from found.items()


@dataclass
class Sum:
    """An accumulator."""

    value: Any

    def add(self, more: Any) -> None:
        self.value = self.value + more


@dataclass
class Context:
    """A SparkContext; ``jobs`` has the number of tasks of each job."""

    master: str = "local[2]"
    defaultParallelism: int = 2  # noqa: N815 (Spark's name)
    jobs: list[int] = field(default_factory=list)
    group: str = ""
    cancelled: int = 0

    def parallelize(self, rows: Iterable[Any], partitions: int) -> Tasks:
        self.jobs.append(partitions)
        return Tasks(pickle.loads(pickle.dumps(row)) for row in rows)

    def accumulator(self, value: Any, _: object = None) -> Sum:
        return Sum(value)

    def getConf(self) -> SparkConf:  # noqa: N802 (Spark's name)
        return SparkConf(loadDefaults=False)

    def setJobGroup(self, group: str, _: str) -> None:  # noqa: N802 (Spark's name)
        self.group = group

    def cancelJobGroup(self, group: str) -> None:  # noqa: N802 (Spark's name)
        assert group == self.group
        self.cancelled += 1


class InProcess:
    """A SparkSession, as far as the stages use it."""

    def __init__(self) -> None:
        self.sparkContext = Context()


@dataclass
class Task:
    """The TaskContext of the task that runs."""

    n_cpus: int = 1
    attempt: int = 0
    gpus: dict[str, Any] = field(default_factory=dict)

    def cpus(self) -> int:
        return self.n_cpus

    def attemptNumber(self) -> int:  # noqa: N802 (Spark's name)
        return self.attempt

    def resources(self) -> dict[str, Any]:
        return self.gpus


@contextmanager
def task() -> Iterator[Task]:
    """Code of executors finds a task in the block."""
    running, cpus = Task(), pa.cpu_count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskContext, "get", lambda: running)
        patch.setattr(work, "_freeze", lambda _: None)
        yield running
    pa.set_cpu_count(cpus)
    work._grant(None)


@contextmanager
def without_spark() -> Iterator[None]:
    """Studies that are made in the block run their tasks in this process."""
    with task(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "at_need", lambda *_: InProcess())
        yield

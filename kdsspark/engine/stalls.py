"""A job in which no task has ended for long: which work items hang, and on which executor (driver).

An image that hangs a reader or decoder fails by itself (``embed.image_seconds``). What is left are
file systems that block, GPUs that no longer answer, and clusters that give no executor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyspark import SparkContext

AFTER: Final = "spark.kdsspark.stalledAfter"  # seconds; absent: never
FAILS: Final = "spark.kdsspark.stalledFails"  # true or false
_MOST_NAMED: Final = 5


@dataclass(frozen=True)
class RunningTask:
    """A task that an executor is working on."""

    index: int  # among the tasks of its stage
    of: int  # tasks of its stage
    executor: str  # id and host
    seconds: float  # since it was launched


@dataclass
class Stalls:
    """Tells when a job has made no progress for ``after`` seconds."""

    context: SparkContext
    what: str  # the step, for people
    after: float | None
    fails: bool
    names: Sequence[str] = ()  # of the work items, in the order of the tasks
    _state: object = None
    _since: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, context: SparkContext, what: str) -> Stalls:
        """As the session is configured."""
        conf = context.getConf()
        after = conf.get(AFTER, None)
        return cls(context, what, float(after) if after else None, conf.get(FAILS) == "true")

    def found(self, done: int) -> str | None:
        """A line about the stall, once every ``after`` seconds; None while all is well.

        ``done`` is how much has been done. It is called often, and asks Spark only when it has not
        changed for long.
        """
        now = time.monotonic()
        if self.after is None:
            return None
        if self._state is None or done != self._state:
            self._state, self._since = done, now
        if now - self._since < self.after:
            return None
        self._since = now
        tasks = running(self.context)
        if any(task.seconds < self.after for task in tasks):
            return None  # others have ended since: their work is not counted in ``done``
        return self._line(tasks)

    def _line(self, tasks: Sequence[RunningTask]) -> str:
        line = f"{self.what}: no task has ended for {_words(self.after or 0)}"
        if not tasks:
            return f"{line}, and none runs: Spark waits for executors"
        longest = sorted(tasks, key=lambda task: -task.seconds)
        named = [
            f"{self._name(task)} on executor {task.executor} for {_words(task.seconds)}"
            for task in longest[:_MOST_NAMED]
        ]
        more = f", and {len(tasks) - _MOST_NAMED} more" if len(tasks) > _MOST_NAMED else ""
        return f"{line}; running: {', '.join(named)}{more}"

    def _name(self, task: RunningTask) -> str:
        if len(self.names) == task.of:
            return self.names[task.index]
        return f"task {task.index} of {task.of}"


def running(context: SparkContext) -> list[RunningTask]:
    """The tasks that executors are working on, from the store behind Spark's user interface."""
    store = context._jsc.sc().statusStore()
    now = time.time()
    found = []
    for stage in _items(store.activeStages()):
        n_tasks = stage.numTasks()
        for task in _items(store.taskList(stage.stageId(), stage.attemptId(), n_tasks)):
            if task.status() == "RUNNING":
                executor = f"{task.executorId()} ({task.host()})"
                seconds = now - task.launchTime().getTime() / 1000
                found.append(RunningTask(task.index(), n_tasks, executor, seconds))
    return found


def _items(sequence: Any) -> list[Any]:
    """The items of a sequence of Scala."""
    return [sequence.apply(i) for i in range(sequence.size())]


def _words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"

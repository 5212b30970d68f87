"""A Spark job under way: its progress, and the errors that end it (driver)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Final, TypeVar

from pyspark import Accumulator, AccumulatorParam, SparkContext

from kdsspark.engine.stalls import Stalls
from kdsspark.errors import KdssparkError, PlacementError, StalledError
from kdsspark.terminal import Progress

T = TypeVar("T")

_POLL_SECONDS: Final = 0.3


@dataclass(frozen=True)
class Watched:
    """What tasks report to the driver while they run (executor)."""

    done: Accumulator[int]
    failed: Accumulator[int]
    fatal: Accumulator[list[KdssparkError]]

    def add(self, done: int, failed: int = 0) -> None:
        """Count what a task has finished."""
        self.done.add(done)
        self.failed.add(failed)

    def refused(self, error: KdssparkError) -> KdssparkError:
        """The error, for the task to return. A PlacementError reaches the driver at once."""
        if isinstance(error, PlacementError):
            self.fatal.add([error])
        return error


class Watch:
    """Runs one job in a thread, and shows its progress until it ends or an error is fatal."""

    def __init__(self, context: SparkContext, what: str) -> None:
        """``what`` names the step on the terminal."""
        self._context = context
        self._stalls = Stalls.of(context, what)
        self._group = f"kdsspark-{uuid.uuid4().hex}"
        fatal = context.accumulator([], _Concatenated())
        self.watched = Watched(context.accumulator(0), context.accumulator(0), fatal)

    def runs(self, names: Sequence[str]) -> None:
        """Tell the names of the work items of the tasks that run next, in their order."""
        self._stalls.names = names

    @property
    def fatal(self) -> list[KdssparkError]:
        """Errors that every other task would meet as well."""
        return self.watched.fatal.value

    def results(
        self, collect: Callable[[], Sequence[T | KdssparkError]], progress: Progress
    ) -> list[T]:
        """What ``collect``, a Spark action, returns; raises the first error among it.

        A fatal error, or an interrupt, cancels the job, and no other of the session. A stall is
        reported, or, if the configuration says so, cancels it and raises a :class:`StalledError`.
        """

        def in_group() -> Sequence[T | KdssparkError]:
            self._context.setJobGroup(self._group, "kdsspark")  # of this thread's jobs
            return collect()

        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(in_group)
            self._wait(job, progress)
        results: list[T] = []
        for result in job.result():
            if isinstance(result, KdssparkError):
                raise result
            results.append(result)
        return results

    def _wait(self, job: Future[Sequence[T | KdssparkError]], progress: Progress) -> None:
        try:
            while wait_for([job], _POLL_SECONDS).not_done:
                self._show(progress)
                if self.fatal:
                    raise self.fatal[0]
                self._look_for_a_stall(progress)
            self._show(progress)
        except (KeyboardInterrupt, KdssparkError):
            self._context.cancelJobGroup(self._group)
            raise

    def _look_for_a_stall(self, progress: Progress) -> None:
        if line := self._stalls.found(self.watched.done.value):
            if self._stalls.fails:
                raise StalledError(line)
            progress.say(line)

    def _show(self, progress: Progress) -> None:
        progress.show(self.watched.done.value, self.watched.failed.value)


class _Concatenated(AccumulatorParam[list[KdssparkError]]):
    """Errors of several tasks, in any order."""

    def zero(self, value: list[KdssparkError]) -> list[KdssparkError]:
        return value[:0]

    def addInPlace(  # noqa: N802 (Spark's name)
        self, value1: list[KdssparkError], value2: list[KdssparkError]
    ) -> list[KdssparkError]:
        return value1 + value2

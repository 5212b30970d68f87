"""Folds over files: read each, merge what was read, in an order that never changes.

Ranges, moments and counts are such folds. ``merge`` need be associative only up to rounding:
files are grouped by their number alone, and groups are merged in order, so that the result is
the same on every cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Generic, TypeVar

from kdsspark.engine.watch import Watch, Watched
from kdsspark.engine.work import Session, freeze_modules
from kdsspark.errors import KdssparkError
from kdsspark.terminal import Progress

_MOST_TASKS: Final = 64  # a key
FILES_OF_A_TASK: Final = 16
"""At least, where reading a file takes milliseconds."""

Key = TypeVar("Key", bound=Hashable)
File = TypeVar("File")
Value = TypeVar("Value")


def fold(
    session: Session,
    what: str,
    files: Mapping[Key, Sequence[File]],
    load: Callable[[Key, File], Iterable[Value]],
    merge: Callable[[Value, Value], Value],
    at_least: int = FILES_OF_A_TASK,
) -> dict[Key, Value]:
    """key -> the values of all its files, loaded by executors and merged in order (driver).

    ``load`` gives the values of one file, one or several. ``what`` names the step on the terminal.
    ``at_least`` is the number of files of one task, of which there are at most 64 a key. A key
    without files is left out. Raises what ``load`` raises; retries all but a
    :class:`KdssparkError`.
    """
    work = [
        _Group(key, tuple(some[start : start + size]))
        for key, some in files.items()
        for size in [max(at_least, -(-len(some) // _MOST_TASKS))]
        for start in range(0, len(some), size)
    ]
    result: dict[Key, Value] = {}
    with Progress(what, sum(len(group.files) for group in work), "files") as progress:
        if work:
            watch = Watch(session.sparkContext, what)
            tasks = session.sparkContext.parallelize(work, len(work))
            folded = tasks.map(_Fold(load, merge, watch.watched))
            for key, value in watch.results(folded.collect, progress):
                result[key] = merge(result[key], value) if key in result else value
    return result


@dataclass(frozen=True)
class _Group(Generic[Key, File]):
    key: Key
    files: tuple[File, ...]


@dataclass(frozen=True)
class _Fold:
    """What an executor does with a group of files."""

    load: Callable[[Any, Any], Any]
    merge: Callable[[Any, Any], Any]
    watched: Watched

    def __call__(self, group: _Group[Any, Any]) -> tuple[Any, Any] | KdssparkError:
        try:
            return group.key, reduce(self.merge, self._values(group))
        except KdssparkError as error:
            return self.watched.refused(error)
        finally:
            freeze_modules()

    def _values(self, group: _Group[Any, Any]) -> Iterator[Any]:
        for file in group.files:
            yield from self.load(group.key, file)
            self.watched.add(1)

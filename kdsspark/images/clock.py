"""Counts where the seconds of a task go (executor)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Seconds by activity, added up over threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def time(self, activity: str) -> Iterator[None]:
        """Add the seconds of the block to ``activity``, also if it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                self.seconds[activity] = self.seconds.get(activity, 0.0) + spent

    def until_next(self, activity: str, items: Iterable[T]) -> Iterator[T]:
        """The items, with the seconds spent waiting for each added to ``activity``."""
        iterator = iter(items)
        while True:
            with self.time(activity):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

"""Items put by one thread and taken by another; errors pass in both directions (executor)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Full, Queue
from typing import Final, TypeVar

T = TypeVar("T")

_POLL_SECONDS: Final = 0.2


class _AbortedError(Exception):
    """The block that puts items has raised."""


_END: Final = object()
_ABORT: Final = object()


@contextmanager
def fed(
    consume: Callable[[Iterator[T]], object], waiting: int = 1
) -> Iterator[Callable[[T], None]]:
    """``with fed(consume) as put: put(item)``: ``consume`` takes the items in a thread of its own.

    ``put`` waits while ``waiting`` items are not taken yet. At the end of the block it waits for
    ``consume`` and raises its error. If the block raises, the iterator of ``consume`` raises, too:
    the consumer must not take the items so far for all.
    """
    queue: Queue[object] = Queue(waiting)
    with ThreadPoolExecutor(1, "consumer") as pool:
        consumer = pool.submit(consume, _items(queue))
        try:
            yield lambda item: _put(queue, item, consumer)
        except BaseException:
            _put(queue, _ABORT, consumer)
            raise
        _put(queue, _END, consumer)
        consumer.result()


def _items(queue: Queue[object]) -> Iterator[T]:
    while (item := queue.get()) is not _END:
        if item is _ABORT:
            raise _AbortedError
        yield item  # type: ignore[misc]  # the queue holds nothing else


def _put(queue: Queue[object], item: object, consumer: Future[object]) -> None:
    """Wait for room, unless the consumer has ended and will never make any."""
    while not consumer.done():
        try:
            return queue.put(item, timeout=_POLL_SECONDS)
        except Full:
            continue
    if item is not _ABORT:
        consumer.result()
    return None

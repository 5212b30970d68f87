"""A consumer in its own thread: gets everything in order, and errors cross in both directions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from kdsspark.stages.embed.background import fed


def test_items_arrive_in_order_in_another_thread_and_the_block_waits_for_the_last() -> None:
    found: list[tuple[int, bool]] = []

    def consume(items: Iterator[int]) -> None:
        for item in items:
            time.sleep(0.001)
            found.append((item, threading.current_thread() is threading.main_thread()))

    with fed(consume) as put:
        for item in range(50):
            put(item)
    assert found == [(item, False) for item in range(50)]


def test_putting_waits_for_a_consumer_that_lags() -> None:
    gate = threading.Semaphore(0)
    taken: list[int] = []

    def consume(items: Iterator[int]) -> None:
        for item in items:
            taken.append(item)
            gate.acquire()

    def release() -> None:
        time.sleep(0.2)
        gate.release(10)

    with fed(consume, waiting=1) as put:
        put(0)
        put(1)
        threading.Thread(target=release).start()
        start = time.monotonic()
        put(2)  # one is taken, one waits
        assert time.monotonic() - start > 0.1
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("number", [0, 3])
def test_what_the_consumer_raises_is_raised(number: int) -> None:
    def consume(items: Iterator[int]) -> None:
        for _ in range(number):
            next(items)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _feed(consume, range(10))


def test_a_consumer_that_fails_at_the_end_is_heard_of() -> None:
    def consume(items: Iterator[int]) -> None:
        list(items)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _feed(consume, [1])


def test_a_consumer_does_not_take_a_part_for_the_whole() -> None:
    ended: list[str] = []

    def consume(items: Iterator[int]) -> None:
        try:
            list(items)
        except Exception as error:
            ended.append(type(error).__name__)
            raise
        ended.append("complete")

    with pytest.raises(ZeroDivisionError):
        _feed(consume, (1 // (1 - n) for n in range(3)))
    assert ended == ["_AbortedError"]


def _feed(consume: Callable[[Iterator[int]], None], items: Iterable[int]) -> None:
    with fed(consume) as put:
        for item in items:
            put(item)

"""Seconds by activity: of several threads, of blocks that raise, of waiting for items."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from kdsspark.images.clock import Clock


def test_seconds_of_threads_add_up() -> None:
    clock = Clock()
    all_inside = threading.Barrier(4)

    def work() -> None:
        for _ in range(200):
            with clock.time("often"):
                pass
        with clock.time("work"):
            all_inside.wait(20)
            time.sleep(0.05)

    start = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4 * 0.05 <= clock.seconds["work"] <= 4 * (time.perf_counter() - start)
    assert set(clock.seconds) == {"often", "work"}


def test_a_block_that_raises_is_counted() -> None:
    def fail_after(seconds: float) -> None:
        time.sleep(seconds)
        raise OSError("disk")

    clock = Clock()
    with pytest.raises(OSError, match="disk"), clock.time("failed"):
        fail_after(0.02)
    assert 0.02 <= clock.seconds["failed"] < 10


def test_waiting_for_items_is_counted_and_what_is_done_with_them_is_not() -> None:
    def slow() -> Iterator[int]:
        for item in range(3):
            time.sleep(0.02)
            yield item

    clock = Clock()
    found = []
    start = time.perf_counter()
    for item in clock.until_next("wait", slow()):
        found.append(item)
        time.sleep(0.1)
    assert found == [0, 1, 2]
    assert 3 * 0.02 <= clock.seconds["wait"] <= time.perf_counter() - start - 3 * 0.1
    assert list(clock.until_next("none", [])) == []
    assert clock.seconds["none"] < 1  # a busy core may stop any thread for a while


def test_an_error_of_the_iterator_is_raised_and_counted() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    clock = Clock()
    items = clock.until_next("wait", broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="disk"):
        next(items)
    assert "wait" in clock.seconds

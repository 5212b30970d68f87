"""Signals that end a run early: SIGINT (Ctrl-C), SIGTERM and SIGHUP (driver).

A command does its work in a thread of its own. The main thread waits for the result of the work or
for a signal, whichever comes first. So a signal never raises an exception inside an import, an
upload, a lock or a call to Java, where an exception may be lost or may leave something half done.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread, Timer
from typing import Any, Final, TypeVar

T = TypeVar("T")

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The system may deliver a signal to another thread. The main thread sees it when it wakes up.
_POLL_SECONDS: Final = 0.2


def exit_code(received: signal.Signals) -> int:
    """The exit code of a program that a signal ended, as shells have it: 130, 143 or 129."""
    return 128 + received


class Interrupts:
    """From its creation on, the signals that end a run are kept until somebody asks for them.

    It must be created in the main thread. A second signal does nothing while the first is being
    dealt with.
    """

    def __init__(self) -> None:
        self._first: SimpleQueue[signal.Signals | Future[Any]] = SimpleQueue()
        for number in _ENDING:
            # `nohup` has the process ignore SIGHUP, and that is what its user wants.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, _: object) -> None:
        self._first.put(signal.Signals(number))

    def during(self, work: Callable[[], T]) -> T | signal.Signals:
        """What ``work`` returns, or the signal that came before that; raises what ``work`` raises.

        After a signal the thread of the work is still running; it ends with the process.
        """
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(work())
            except BaseException as error:  # SystemExit, too, is for the main thread
                result.set_exception(error)
            self._first.put(result)

        if self._first.empty():
            Thread(target=run, name="work", daemon=True).start()
        while True:
            with suppress(Empty):
                first = self._first.get(timeout=_POLL_SECONDS)
                return first.result() if isinstance(first, Future) else first


def as_exceptions() -> None:
    """Have Ctrl-C raise KeyboardInterrupt in the main thread; SIGTERM and SIGHUP end the process.

    This is for a prompt, where Ctrl-C drops the line that is being typed.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in set(_ENDING) - {signal.SIGINT}:
        signal.signal(number, signal.SIG_DFL)


def say_last(line: str) -> None:
    """Print the last line of this process on stderr; nothing that is written later is shown."""
    with suppress(OSError, ValueError):  # after SIGHUP the terminal may be gone
        if sys.stdout:
            sys.stdout.flush()
        newline = "\n" if os.isatty(2) else ""  # a progress bar leaves its line unfinished
        stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.write(stderr, f"{newline}{line}\n".encode(errors="backslashreplace"))


def exit_within(seconds: float, code: int) -> None:
    """End the process after so many seconds, whatever it is waiting for then."""
    timer = Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()

"""One run at a time on an output: lock files with a heartbeat, on any file system (driver).

``_lock/<number>.json`` says who took the output as the number-th run; only the highest number
counts. A lock is taken by creating the next number, which the store grants to one process only;
lower numbers are removed after that, the highest never. So the highest number only grows, and
whoever judged a lock dead and is late finds a higher one and yields.

No clocks are compared: a holder is alive as long as its heartbeat changes. A holder that died on
this machine is recognised at once, any other after a few missed beats.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from kdsspark.errors import ConfigError, LockedError
from kdsspark.output.store import Store

_FOLDER: Final = "_lock"
_BEAT_SECONDS: Final = 5.0
_MISSED_BEATS: Final = 4
_State = tuple[int, dict[str, Any] | None]  # the highest number, and what its file says


class Lock:
    """``with Lock(store): ...``; raises :class:`LockedError` while another run holds it.

    A run that did not beat for so long that another took over is interrupted at its next beat.
    Raises :class:`ConfigError` where the output cannot be written at all.
    """

    def __init__(self, store: Store, beat_seconds: float = _BEAT_SECONDS) -> None:
        self._store = store
        self._beat_seconds = beat_seconds
        self._me = {"run": uuid.uuid4().hex, "pid": os.getpid(), **_machine()}
        self._number = 0
        self._lost = False
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> Lock:
        try:
            self._store.fs.makedirs(self._store.path(_FOLDER), exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"output: must be writable, got {self._store.url}: {error}"
            ) from error
        while not self._number:
            state = self._state()
            self._refuse_if_alive(state)
            self._number = self._take(state[0] + 1)
        self._store.clean(_FOLDER)
        for path in self._store.files(_FOLDER):
            if _number(path) < self._number:
                self._store.remove(path)
        self._beats.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        if self.lost:
            raise LockedError(self.lost) from error

    @property
    def lost(self) -> str:
        """The line that says that another run took over; empty unless one did."""
        if not self._lost:
            return ""
        return (
            f"output {self._store.url} must have one run at a time, got a second: "
            f"this run did not get to tell that it is alive, and another took over"
        )

    def release(self) -> None:
        """Leave the lock to the next run, if this one holds it; any thread may do that."""
        self._stop.set()
        if self._beats.is_alive():
            self._beats.join()
        if self._number and not self._lost:
            self._store.write_json(_path(self._number), self._me | {"released": True})

    def _state(self) -> _State:
        number = max((_number(path) for path in self._store.files(_FOLDER)), default=0)
        try:
            return number, self._store.read_json(_path(number))
        except (FileNotFoundError, ValueError):  # none, or created and not written yet
            return number, None

    def _take(self, number: int) -> int:
        """Become the number-th run: ``number``, or 0 where another was faster."""
        if not self._create(number):
            return 0
        if self._state()[0] != number:  # others came while this process judged the last one
            self._store.remove(_path(number))
            return 0
        return number

    def _create(self, number: int) -> bool:
        """Create a file that nobody else creates; the store decides who was first."""
        path, content = _path(number), self._me | {"beat": 0}
        try:
            with self._store.fs.open(self._store.path(path), "xb") as file:
                file.write(json.dumps(content).encode())
        except FileExistsError:
            return False
        except (ValueError, NotImplementedError):  # a store without that mode, such as HDFS:
            self._store.write_json(path, content)  # the last one to write at that moment stays
            time.sleep(self._beat_seconds)
            return self._is_mine(self._state())
        return True

    def _is_mine(self, state: _State) -> bool:
        holder = state[1]
        return holder is not None and holder["run"] == self._me["run"]

    def _refuse_if_alive(self, state: _State) -> None:
        """Return once the holder is known to be gone; raise where it beats or another came."""
        number, holder = state
        if not number or (holder and (holder.get("released") or self._died_here(holder))):
            return
        for _ in range(2 * _MISSED_BEATS):
            time.sleep(self._beat_seconds / 2)
            now = self._state()[1]
            if now and now != holder:
                if now.get("released"):
                    return
                raise LockedError(
                    f"output {self._store.url} must have one run at a time, got a second: "
                    f"process {now['pid']} on {now['host']} is writing to it"
                )

    def _died_here(self, holder: dict[str, Any]) -> bool:
        here = all(holder.get(key) == value for key, value in _machine().items())
        return here and not _is_running(holder["pid"])

    def _keep_beating(self) -> None:
        for beat in itertools.count(1):
            if self._stop.wait(self._beat_seconds):
                return
            with suppress(Exception):  # the store may be out of reach for a while
                state = self._state()
                if state[0] > self._number or (state[1] and not self._is_mine(state)):
                    self._lost = True
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    return
                self._store.write_json(_path(self._number), self._me | {"beat": beat})


def _path(number: int) -> str:
    return f"{_FOLDER}/{number:08d}.json"


def _number(path: str) -> int:
    return int(path.removeprefix(f"{_FOLDER}/").removesuffix(".json"))


def _machine() -> dict[str, str]:
    """Where process numbers mean the same: one host and, within it, one container."""
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        processes = ""
    return {"host": socket.gethostname(), "processes": processes}


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

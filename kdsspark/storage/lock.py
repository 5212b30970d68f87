"""One run at a time on an output: a lock file with a heartbeat, on any file system (driver).

No clocks are compared: a holder is alive as long as its heartbeat changes. A holder that died on
this machine is recognised at once, any other after a few missed beats.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Final

from kdsspark.errors import LockedError
from kdsspark.storage.files import Store

_PATH: Final = "_lock.json"
_BEAT_SECONDS: Final = 5.0
_MISSED_BEATS: Final = 4


class Lock:
    """``with Lock(store): ...``; raises :class:`LockedError` while another run holds it."""

    def __init__(self, store: Store, beat_seconds: float = _BEAT_SECONDS) -> None:
        self._store = store
        self._beat_seconds = beat_seconds
        self._me = {"run": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> Lock:
        while not self._create():
            self._refuse_if_alive()
            self._store.remove(_PATH)
        self._beats.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._beats.join()
        holder = self._read()
        if holder and holder["run"] == self._me["run"]:
            self._store.remove(_PATH)

    def _create(self) -> bool:
        """Take the lock if nobody has it; the store decides who was first."""
        self._store.fs.makedirs(self._store.path(), exist_ok=True)
        try:
            with self._store.fs.open(self._store.path(_PATH), "xb") as file:
                file.write(json.dumps(self._me | {"beat": 0}).encode())
        except FileExistsError:
            return False
        return True

    def _read(self) -> dict[str, Any] | None:
        try:
            holder: dict[str, Any] = self._store.read_json(_PATH)
        except (FileNotFoundError, ValueError):  # released, or created and not written yet
            return None
        return holder

    def _refuse_if_alive(self) -> None:
        first = self._read()
        if first and first["host"] == self._me["host"] and not _is_running(first["pid"]):
            return
        for _ in range(2 * _MISSED_BEATS):
            time.sleep(self._beat_seconds / 2)
            holder = self._read()
            if holder and holder != first:
                raise LockedError(
                    f"output {self._store.url} must have one run at a time, got a second: "
                    f"process {holder['pid']} on {holder['host']} is writing to it"
                )

    def _keep_beating(self) -> None:
        beat = 0
        while not self._stop.wait(self._beat_seconds):
            beat += 1
            self._store.write_json(_PATH, self._me | {"beat": beat})


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

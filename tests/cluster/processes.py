"""The processes of Spark on this machine, to be killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.standalone import Cluster


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    session: int
    command: str


def processes() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                # pid (name) state parent group session
                state = (folder / "stat").read_text().rpartition(")")[2].split()
            except (OSError, UnicodeDecodeError):
                continue  # it ended
            yield Process(int(folder.name), int(state[1]), int(state[3]), command)


def session_of(pid: int) -> list[int]:
    return [process.pid for process in processes() if process.session == pid]


def python_workers(session: int) -> list[int]:
    """The processes that run tasks: the children of Spark's daemon, which it forks."""
    daemons = [p for p in processes() if p.session == session and ".daemon" in p.command]
    pids = {process.pid for process in daemons}
    return [process.pid for process in daemons if process.parent in pids]


def executors(cluster: Cluster) -> list[int]:
    sessions = {worker.pid for worker in cluster.workers}
    return [
        process.pid
        for process in processes()
        if process.session in sessions and "CoarseGrainedExecutorBackend" in process.command
    ]


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)

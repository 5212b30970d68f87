"""One run at a time: between processes, after kills, between hosts, and in every race."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from kdsspark.errors import ConfigError, LockedError
from kdsspark.output import lock as lock_module
from kdsspark.output.lock import Lock
from kdsspark.output.store import Store

BEAT = 0.1
PROCESS = """
import sys, time
from pathlib import Path
from kdsspark.errors import LockedError
from kdsspark.output.store import Store
from kdsspark.output.lock import Lock

folder, seconds, go = sys.argv[1:]
lock = Lock(Store.at(folder), 0.1)
print("ready", flush=True)
while not Path(go).exists():
    time.sleep(0.001)
try:
    with lock:
        print("held", flush=True)
        time.sleep(float(seconds))
except LockedError as error:
    print(error, flush=True)
"""
HERE = lock_module._machine()
ELSEWHERE = {"host": "elsewhere", "processes": ""}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(str(tmp_path / "out"))


@contextmanager
def process(store: Store, seconds: float = 60, go: str = "/") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROCESS, store.path(), str(seconds), go]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert line(started) == "ready"
        try:
            yield started
        finally:
            started.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        return process.pid


def leave(store: Store, number: int = 1, **keys: Any) -> None:
    """What a run that ended without a word left behind."""
    state = {"run": "other", "pid": 1, "beat": 3, **ELSEWHERE, **keys}
    store.write_json(f"_lock/{number:08d}.json", state)


def latest(store: Store) -> dict[str, Any]:
    state: dict[str, Any] = store.read_json(store.files("_lock")[-1])
    return state


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock must not sleep; other modules, and their threads, may."""

    def sleep(_: float) -> None:
        raise AssertionError("must not wait")

    monkeypatch.setattr(lock_module, "time", SimpleNamespace(sleep=sleep))


# -- processes ----------------------------------------------------------------------------------


def test_a_second_run_is_refused_while_the_first_lives(store: Store) -> None:
    with process(store) as first:
        assert line(first) == "held"
        with pytest.raises(LockedError) as caught, Lock(store, BEAT):
            pass
        assert str(caught.value) == (
            f"output {store.url} must have one run at a time, got a second: "
            f"process {first.pid} on {socket.gethostname()} is writing to it"
        )
        assert latest(store)["pid"] == first.pid


@pytest.mark.usefixtures("_no_waiting")
def test_a_killed_run_is_succeeded_at_once(store: Store) -> None:
    with process(store) as first:
        assert line(first) == "held"
        first.send_signal(signal.SIGKILL)
        first.wait()
    with Lock(store):
        assert latest(store)["pid"] == os.getpid()


def test_of_several_processes_at_the_same_instant_one_wins(store: Store, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with (
        process(store, 2, str(go)) as first,
        process(store, 2, str(go)) as second,
        process(store, 2, str(go)) as third,
    ):
        go.touch()
        said = sorted(line(each) for each in (first, second, third))
    assert said[0] == "held"
    assert all("must have one run at a time" in words for words in said[1:])


# -- one after the other ------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_waiting")
def test_the_lock_is_released_and_taken_again_without_waiting(store: Store) -> None:
    for _ in range(3):
        with Lock(store):
            assert "released" not in latest(store)
        assert latest(store)["released"]
        assert len(store.files("_lock")) == 1  # the highest number alone stays


def test_the_lock_is_released_after_an_error(store: Store) -> None:
    with pytest.raises(RuntimeError, match="mine"), Lock(store):
        raise RuntimeError("mine")
    assert latest(store)["released"]


def test_a_lock_inside_a_lock_is_refused(store: Store) -> None:
    with Lock(store, BEAT):
        with pytest.raises(LockedError), Lock(store, BEAT):
            pass
        assert "released" not in latest(store)


def test_other_files_of_the_output_are_not_touched(store: Store) -> None:
    store.write_json("_locked/1.json", 1)
    store.write_json("images/dataset=a/part", 1)
    with Lock(store):
        assert store.files("images") == ["images/dataset=a/part"]
    assert {path.split("/")[0] for path in store.files("")} == {"_lock", "_locked", "images"}


def test_locks_on_another_file_system(tmp_path: Path) -> None:
    store = Store.at(f"memory://{tmp_path.name}/out")
    with Lock(store, BEAT), pytest.raises(LockedError), Lock(store, BEAT):
        pass
    with Lock(store, BEAT):
        pass


class NoExclusiveCreation(MemoryFileSystem):
    protocol = "plain"

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode == "xb":
            raise ValueError("unsupported mode: 'xb'")
        return super()._open(path, mode, **kwargs)


def test_a_file_system_without_exclusive_creation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_registry, "plain", NoExclusiveCreation)
    store = Store.at(f"plain://{tmp_path.name}/out")
    with Lock(store, BEAT), pytest.raises(LockedError), Lock(store, BEAT):
        pass
    assert entered_at_once(store, 4) == 1


@pytest.mark.parametrize("below", ["file", "file/out"])
def test_an_output_that_cannot_be_is_a_configuration_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^output: must be writable, got "):
        Lock(Store.at(f"{tmp_path}/{below}")).__enter__()


# -- holders elsewhere --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "holder",
    [
        ELSEWHERE | {"pid": 999_999},
        {**HERE, "pid": os.getpid()},  # its number is now another's
        {**HERE, "processes": "pid:[1]", "pid": 999_999},  # in another container of this host
    ],
)
def test_a_holder_that_does_not_beat_is_succeeded_after_some_beats(
    store: Store, holder: dict[str, Any]
) -> None:
    leave(store, 7, **holder)
    started = time.monotonic()
    with Lock(store, BEAT):
        assert latest(store)["run"] != "other"
        assert store.files("_lock") == ["_lock/00000008.json"]
    assert time.monotonic() - started >= 4 * BEAT


def test_a_holder_elsewhere_that_beats_is_respected(store: Store) -> None:
    leave(store)
    beats = threading.Timer(2 * BEAT, leave, [store], {"beat": 4})
    beats.start()
    with pytest.raises(LockedError, match="process 1 on elsewhere is writing to it"):
        Lock(store, BEAT).__enter__()
    beats.join()
    assert latest(store)["run"] == "other"


def test_a_holder_that_ends_meanwhile_is_succeeded(store: Store) -> None:
    leave(store)
    release = threading.Timer(BEAT, leave, [store], {"released": True})
    release.start()
    with Lock(store, 10 * BEAT):
        assert latest(store)["run"] != "other"
    release.join()


@pytest.mark.parametrize("content", [b"", b'{"run": "ab'])
def test_a_holder_that_died_while_it_took_the_lock_is_succeeded(
    store: Store, content: bytes
) -> None:
    with store.create("_lock/00000003.json") as file:
        file.write(content)
    with Lock(store, BEAT):
        assert store.files("_lock") == ["_lock/00000004.json"]


def test_what_killed_runs_left_is_cleaned(store: Store, tmp_path: Path) -> None:
    leave(store, 1, released=True)
    leave(store, 2, released=True)
    (tmp_path / "out/_lock/.tmp-0123-00000002.json").touch()
    with Lock(store):
        assert [path.name for path in (tmp_path / "out/_lock").iterdir()] == ["00000003.json"]


# -- races --------------------------------------------------------------------------------------


def entered_at_once(store: Store, n_threads: int) -> int:
    """How many of several threads get the lock when all ask at the same instant."""
    barrier, over, inside = threading.Barrier(n_threads), threading.Event(), []

    def run() -> None:
        lock = Lock(store, BEAT)
        barrier.wait()
        try:
            with lock:
                inside.append(lock)
                over.wait(5)
        except LockedError:
            refused.release()

    refused = threading.Semaphore(0)
    threads = [threading.Thread(target=run) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for _ in range(n_threads - 1):
        refused.acquire(timeout=5)
    over.set()
    for thread in threads:
        thread.join()
    return len(inside)


def test_of_several_that_succeed_a_dead_run_one_wins(store: Store) -> None:
    pid = dead_process()
    for number in range(1, 6):
        leave(store, 10 * number, **HERE, pid=pid)
        assert entered_at_once(store, 6) == 1


def test_one_that_judged_a_dead_run_and_was_slow_yields(store: Store) -> None:
    leave(store, 5, **HERE, pid=dead_process())
    slow = Lock(store, BEAT)
    judged = slow._state()
    slow._refuse_if_alive(judged)
    with Lock(store, BEAT):  # another succeeds the dead run, and ends
        pass
    with Lock(store, BEAT):  # and a third is at work
        assert store.files("_lock") == ["_lock/00000007.json"]
        assert slow._take(judged[0] + 1) == 0
        assert store.files("_lock") == ["_lock/00000007.json"]
        with pytest.raises(LockedError):
            slow.__enter__()


def test_a_run_that_was_taken_for_dead_is_stopped_and_does_not_disturb(store: Store) -> None:
    def run() -> None:
        with Lock(store, BEAT):
            leave(store, 2)
            time.sleep(30)

    started = time.monotonic()
    with pytest.raises(LockedError, match="another took over"):
        run()
    assert time.monotonic() - started < 10
    assert latest(store)["run"] == "other"
    assert "released" not in latest(store)


def test_the_heart_goes_on_beating_when_the_store_was_out_of_reach(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lock(store, BEAT / 5):
        with monkeypatch.context() as patch:
            patch.setattr(Store, "write_json", lambda *_: json.loads("nothing"))
            time.sleep(2 * BEAT)
            silent = latest(store)["beat"]
        deadline = time.monotonic() + 10
        while latest(store)["beat"] == silent and time.monotonic() < deadline:
            time.sleep(BEAT / 5)
        assert latest(store)["beat"] > silent

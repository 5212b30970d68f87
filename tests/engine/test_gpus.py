"""GPUs: which one a task computes on, and that no other task shares it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdsspark.engine import gpus
from kdsspark.engine.gpus import first, resolve, visible_gpus
from kdsspark.errors import PlacementError
from kdsspark.network import devices

# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "visible", "gpu"),
    [
        ("1", ["2", "5"], "5"),  # an index into what is visible
        ("0", ["2", "5"], "2"),
        ("1", ["1", "0"], "0"),  # an index even where it is also a name
        ("5", ["2", "5"], "5"),  # no index, but a name
        ("1", ["GPU-a", "GPU-b"], "GPU-b"),
        ("GPU-b", ["GPU-a", "GPU-b"], "GPU-b"),
        ("GPU-b", ["0", "1"], "GPU-b"),
        ("MIG-GPU-a/1/0", ["0"], "MIG-GPU-a/1/0"),
        ("3", [], "3"),  # nobody knows what is visible
    ],
)
def test_an_address_is_an_index_or_a_name(address: str, visible: list[str], gpu: str) -> None:
    assert resolve(address, visible) == gpu


def test_an_address_of_nothing_visible_is_refused() -> None:
    with pytest.raises(PlacementError, match="gave the task GPU 2, but the visible ones are 4, 5"):
        resolve("2", ["4", "5"])


def test_the_bound_gpu_comes_first_and_alone_where_it_is_from_elsewhere() -> None:
    assert first("5", ("2", "5", "7")) == ("5", "2", "7")
    assert first("GPU-a", ("0", "1")) == ("GPU-a",)


@pytest.mark.parametrize(
    ("listed", "gpus"), [("2,5", ("2", "5")), (" GPU-a , GPU-b", ("GPU-a", "GPU-b")), ("", ())]
)
def test_visible_gpus_are_those_of_the_environment(listed: str, gpus: tuple[str, ...]) -> None:
    assert visible_gpus(listed) == gpus


def nvidia_smi(folder: Path, body: str) -> Path:
    """A folder for PATH with an ``nvidia-smi`` of two GPUs, or what ``body`` does instead."""
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return folder


TWO_GPUS = r"""case "$1" in
    --query-gpu=uuid) printf 'GPU-aaaa\nGPU-bbbb\n' ;;
    --query-gpu=index) printf '0\n1\n' ;;
    *) exit 2 ;;
esac"""


@pytest.mark.parametrize(
    ("body", "gpus"),
    [
        (TWO_GPUS, ("GPU-aaaa", "GPU-bbbb")),
        ("echo 'No devices were found'; exit 6", ()),
        ("exit 9", ()),
    ],
)
def test_else_visible_gpus_are_those_of_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, gpus: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path / "bin", body)), prepend=os.pathsep)
    assert visible_gpus(None) == gpus


def test_without_nvidia_smi_no_gpu_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus(None) == ()


# -- the task's device ---------------------------------------------------------------------------

Worker = Callable[..., None]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """``worker(visible="2,5", usable=2, given="1")``: a Python worker, or its next task."""
    # In this module alone: other threads may make temporary files, or sleep.
    monkeypatch.setattr(gpus, "tempfile", SimpleNamespace(gettempdir=lambda: tmp_path))
    monkeypatch.setattr(gpus, "_worker", gpus._Worker())
    monkeypatch.setattr(gpus, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setenv("PATH", str(tmp_path))  # without nvidia-smi

    def next_task(
        visible: str | None = None, usable: int | None = None, given: str | None = None
    ) -> None:
        gpus.release()
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        if usable is not None:
            monkeypatch.setattr(devices, "gpu_count", lambda: usable)
        monkeypatch.setattr(gpus, "_address", lambda: given)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is put back: workers write to it
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    yield next_task
    gpus.release()


def cuda_visible_devices() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def test_spark_s_gpu_becomes_the_first(worker: Worker) -> None:
    worker(visible="2,5,7", usable=3, given="1")
    assert (gpus.device(), cuda_visible_devices()) == ("cuda:0", "5,2,7")
    assert gpus.device() == "cuda:0"  # also when asked again


def test_a_reused_worker_finds_another_gpu_behind_it(worker: Worker) -> None:
    worker(visible="2,5", usable=2, given="1")
    assert gpus.device() == "cuda:0"
    worker(given="0")
    assert (gpus.device(), cuda_visible_devices()) == ("cuda:1", "5,2")
    worker(given="1")
    assert gpus.device() == "cuda:0"


def test_a_reused_worker_that_sees_one_gpu_says_so(worker: Worker) -> None:
    worker(usable=1, given="1")
    assert (gpus.device(), cuda_visible_devices()) == ("cuda:0", "1")
    worker(given="0")
    with pytest.raises(PlacementError, match=r"gpu\.amount=1, an executor for every GPU"):
        gpus.device()


def test_a_machine_without_gpus_computes_on_its_cpu(worker: Worker) -> None:
    worker(usable=0)
    assert (gpus.device(), cuda_visible_devices()) == ("cpu", None)


def test_a_gpu_that_torch_cannot_use_is_left_to_others(worker: Worker) -> None:
    worker(visible="0", usable=0)
    assert gpus.device() == "cpu"
    with in_use("0"):
        pass


def test_no_silent_cpu_where_spark_gave_a_gpu(worker: Worker) -> None:
    worker(visible="2,5", usable=0, given="1")
    with pytest.raises(PlacementError, match=r"GPU 1, but torch finds none with .*=5,2"):
        gpus.device()


def test_torch_s_only_gpu_needs_no_nvidia_smi(worker: Worker) -> None:
    worker(usable=1)
    assert gpus.device() == "cuda:0"


# -- one task a GPU ------------------------------------------------------------------------------


@contextmanager
def in_use(gpu: str) -> Iterator[None]:
    """As by another process: a lock belongs to an open file, not to a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpus, "_worker", gpus._Worker())
        assert gpus._lock_one(gpu)
        handle = gpus._worker.lock
    assert handle
    yield
    os.close(handle)


def test_a_second_task_on_the_only_gpu_names_what_to_configure(worker: Worker) -> None:
    worker(visible="MIG-a/1/0", usable=1)
    with in_use("MIG-a/1/0"), pytest.raises(PlacementError) as caught:
        gpus.device()
    for key in ("executor.resource.gpu.amount", "gpu.discoveryScript", "task.resource.gpu.amount"):
        assert key in str(caught.value)
    worker()
    assert gpus.device() == "cuda:0"


def test_a_killed_process_holds_no_gpu(worker: Worker) -> None:
    worker(visible="2", usable=1)
    path = str(gpus._lock_file("2"))
    take = [
        sys.executable,
        "-c",
        f"import fcntl, time; f = open({path!r}, 'w');"
        "fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); time.sleep(60)",
    ]
    with subprocess.Popen(take, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(PlacementError):
            gpus.device()
        other.kill()
    assert gpus.device() == "cuda:0"


def test_a_task_without_address_takes_a_free_gpu_and_keeps_to_it(worker: Worker) -> None:
    worker(visible="2,5", usable=2)
    with in_use("2"):
        assert (gpus.device(), cuda_visible_devices()) == ("cuda:0", "5,2")
        worker()
        assert gpus.device() == "cuda:0"
    worker()
    assert gpus.device() == "cuda:0"


def test_a_task_without_address_wants_only_what_its_process_can_use(worker: Worker) -> None:
    worker(visible="MIG-a,MIG-b", usable=1)  # CUDA shows a process no second MIG device
    assert gpus.device() == "cuda:0"
    worker()
    with in_use("MIG-a"), pytest.raises(PlacementError, match=r"^MIG-a: every GPU"):
        gpus.device()


def test_two_tasks_given_the_same_gpu_are_told(worker: Worker) -> None:
    worker(visible="2,5", usable=2, given="1")
    with in_use("5"), pytest.raises(PlacementError, match="GPU 5 was given to two tasks"):
        gpus.device()


def test_a_killed_worker_may_take_a_moment_to_leave(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(visible="2,5", usable=2, given="1")
    with ExitStack() as leaving:
        leaving.enter_context(in_use("5"))
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: leaving.close())
        monkeypatch.setattr(gpus, "time", clock)
        assert gpus.device() == "cuda:0"


def test_a_gpu_that_is_released_is_free(worker: Worker) -> None:
    worker(visible="2", usable=1)
    assert gpus.device() == "cuda:0"
    gpus.release()
    with in_use("2"), pytest.raises(PlacementError):
        gpus.device()
    gpus.release()  # nothing is held, which is no error

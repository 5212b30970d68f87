"""One GPU a task, and one task a GPU: the slots of a stage (driver), the GPU of a task (executor).

Spark assigns GPU addresses; this module makes the task use its GPU and lets no other task share
it. The GPU is bound before CUDA starts: it becomes the first of CUDA_VISIBLE_DEVICES, hence
``cuda:0``, which torch uses by default.

The others stay visible behind it, because Spark uses a Python worker again for the next task,
which on an executor with several GPUs may be given another one, and by then CUDA reads the
variable no more. Such a worker computes on ``cuda:1``, say, and nothing has to fail.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pyspark import RDD, SparkConf, SparkContext, TaskContext
from pyspark.resource import (
    ExecutorResourceRequests,
    ResourceProfile,
    ResourceProfileBuilder,
    TaskResourceRequests,
)

from kdsspark.engine.work import Item, Session, parallelize
from kdsspark.errors import ConfigError, PlacementError

_EXECUTOR: Final = "spark.executor.resource.gpu"
_AMOUNT: Final = f"{_EXECUTOR}.amount"
_SCRIPT: Final = f"{_EXECUTOR}.discoveryScript"
_PER_TASK: Final = "spark.task.resource.gpu.amount"
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_BY_STAGE: Final = ("spark://", "k8s://", "yarn", "local-cluster")  # since Spark 3.5
# A worker that was killed may hold its GPU for a moment after Spark gave it to the next task.
_PATIENCE_SECONDS: Final = 10.0

# -- driver --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slots:
    """How many tasks of a stage run at a time, so that each has a GPU of its own."""

    profile: ResourceProfile | None = None  # where Spark gives GPUs to the tasks of a stage
    at_once: int | None = None  # where it cannot; null: one task a core

    def spread(self, session: Session, items: Sequence[Item]) -> RDD[Item]:
        """One Spark task a work item, each with a GPU if the master gives them out."""
        tasks = parallelize(session, items)
        return tasks.withResources(self.profile) if self.profile else tasks


def slots(context: SparkContext) -> Slots:
    """What a stage that computes on GPUs asks of the master.

    Masters that schedule by stage give its tasks one GPU each, whatever the other stages get.
    Local masters do not, nor do they give out GPUs: as many tasks run at a time as torch sees
    GPUs. Raises :class:`ConfigError` where a local master would wait for a GPU for ever.
    """
    conf, master = context.getConf(), context.master or ""
    if master.startswith(_BY_STAGE):
        return Slots(profile=_profile(conf) if conf.contains(_AMOUNT) else None)
    if not master.startswith("local"):
        return Slots()
    if conf.contains(_PER_TASK):
        raise ConfigError(
            f"{_PER_TASK}: must not be set with master {master}, which gives out no GPUs and "
            f"would wait for one for ever, got {conf.get(_PER_TASK)}"
        )
    return Slots(at_once=_gpu_count() or None)


def _profile(conf: SparkConf) -> ResourceProfile:
    """One GPU a task, and its share of the executor's cores where their number is known."""
    gpus = int(conf.get(_AMOUNT, "0"))
    if gpus < 1:
        raise ConfigError(f"{_AMOUNT}: must be at least 1, got {gpus}")
    task = TaskResourceRequests().resource("gpu", 1)
    if conf.contains("spark.executor.cores"):
        task = task.cpus(max(1, int(conf.get("spark.executor.cores", "1")) // gpus))
    builder = ResourceProfileBuilder().require(task)
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        # Spark then starts executors for this profile, which inherit all settings but resources.
        script, vendor = conf.get(_SCRIPT, ""), conf.get(f"{_EXECUTOR}.vendor", "")
        builder = builder.require(ExecutorResourceRequests().resource("gpu", gpus, script, vendor))
    return builder.build


# -- executor ------------------------------------------------------------------------------------


@dataclass
class _Worker:
    """What this process has decided about GPUs; CUDA lets it decide only once."""

    visible: tuple[str, ...] | None = None  # before any was put first
    order: tuple[str, ...] = ()  # since then, as CUDA numbers them
    device: str | None = None  # of the running task
    lock: int | None = None  # file descriptor, until the task ends


_worker = _Worker()


def device() -> str:
    """The device of the running task: ``cuda:<n>``, its own until :func:`release`, or ``cpu``.

    Without a GPU from Spark it is the first visible one that no task on this machine uses, and
    ``cpu`` where torch can use none. Raises :class:`PlacementError` if every GPU it may use is
    in use, or if torch cannot use the one that Spark gave.
    """
    if _worker.device is None:
        _worker.device = _take(_address())
    return _worker.device


def release() -> None:
    """Leave the GPU of the task that ends here, if it took one, to the next task."""
    _unlock()
    _worker.device = None


def _take(address: str | None) -> str:
    wanted = _wanted(address)
    if not wanted:
        return "cpu"
    gpu = _lock(wanted, patience=0.0 if address is None else _PATIENCE_SECONDS)
    _bind(gpu or wanted[0])
    usable = _worker.order[: _gpu_count()]
    if not usable and address is None:
        _unlock()
        return "cpu"
    if not usable:
        raise PlacementError(
            f"Spark gave the task GPU {address}, but torch finds none with "
            f"{_VISIBLE}={os.environ[_VISIBLE]}: the executors need a GPU driver and a build of "
            f"torch for it; to compute on CPUs, unset {_AMOUNT}"
        )
    if gpu is None:
        raise PlacementError(_in_use(address, wanted))
    if gpu not in usable:
        raise PlacementError(
            f"Spark gave GPU {gpu} to a Python worker that computed on {usable[0]} before and "
            f"cannot see another: set {_AMOUNT}=1, an executor for every GPU"
        )
    return f"cuda:{usable.index(gpu)}"


def _in_use(address: str | None, wanted: Sequence[str]) -> str:
    if address is not None:
        return (
            f"GPU {wanted[0]} was given to two tasks on this machine: {_PER_TASK} must be unset or "
            "1, and workers or applications that share a machine must not share its GPUs"
        )
    return (
        f"{', '.join(wanted)}: every GPU of this machine is used by another task, and Spark gave "
        f"this one none: set {_AMOUNT} and {_SCRIPT}, and leave "
        f"{_PER_TASK} unset or 1 (docs/gpus.md)"
    )


def _address() -> str | None:
    """What Spark calls the GPU it gave to the running task, if it gave one."""
    context = TaskContext.get()
    given = context.resources().get("gpu") if context else None
    return given.addresses[0] if given else None


def _wanted(address: str | None) -> Sequence[str]:
    """The GPUs the task may use; the one this process is bound to comes first."""
    if _worker.visible is None:
        _worker.visible = visible_gpus(os.environ.get(_VISIBLE))
    if address is not None:
        return [resolve(address, _worker.visible)]
    if _worker.order:
        return _worker.order[: _gpu_count()]
    if _worker.visible:
        return _worker.visible
    # Nobody lists GPUs where there is no nvidia-smi; the first is then the one anybody knows.
    return ["0"] if _gpu_count() else []


def visible_gpus(listed: str | None) -> tuple[str, ...]:
    """The GPUs in CUDA's order: those of CUDA_VISIBLE_DEVICES, or all that nvidia-smi knows."""
    if listed is not None:
        return tuple(gpu.strip() for gpu in listed.split(",") if gpu.strip())
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        # By UUID, since CUDA and nvidia-smi may number GPUs differently.
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(found.stdout.split())


def resolve(address: str, visible: Sequence[str]) -> str:
    """The GPU that Spark calls ``address``: an index into the visible ones, or its own name.

    ``resolve("1", ["2", "5"])`` is ``"5"``. Raises :class:`PlacementError` for an index that is
    neither; UUIDs and MIG names are passed on.
    """
    if not address.isdecimal() or not visible:
        return address
    if int(address) < len(visible):
        return visible[int(address)]
    if address in visible:
        return address
    raise PlacementError(
        f"Spark gave the task GPU {address}, but the visible ones are {', '.join(visible)}: the "
        f"discovery script must print indices into {_VISIBLE}, or UUIDs"
    )


def first(gpu: str, visible: Sequence[str]) -> tuple[str, ...]:
    """``gpu`` and behind it the others, where it is one of them."""
    # CUDA takes indices or UUIDs, not both: a name from elsewhere has to stand alone.
    others = [other for other in visible if other != gpu] if gpu in visible else []
    return (gpu, *others)


def _bind(gpu: str) -> None:
    """Put a GPU first for CUDA, once a process; later tasks find theirs behind it."""
    if not _worker.order:
        _worker.order = first(gpu, _worker.visible or ())
        os.environ[_VISIBLE] = ",".join(_worker.order)


def _lock(wanted: Sequence[str], patience: float) -> str | None:
    """Take the first GPU that no process of this machine holds; freed if this process dies."""
    deadline = time.monotonic() + patience
    while True:
        for gpu in wanted:
            if _lock_one(gpu):
                return gpu
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.1)


def _lock_one(gpu: str) -> bool:
    handle = _open(_lock_file(gpu))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    _worker.lock = handle
    return True


def _lock_file(gpu: str) -> Path:
    return Path(tempfile.gettempdir()) / f"kdsspark-gpu-{quote(gpu, safe='')}.lock"


def _unlock() -> None:
    if _worker.lock is not None:
        os.close(_worker.lock)
        _worker.lock = None


def _open(path: Path) -> int:
    # Another user may have made it: then it can be read, which is enough, and not created.
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


def _gpu_count() -> int:
    from kdsspark.network import devices  # torch, which only those who embed need

    return devices.gpu_count()

"""GPUs: which one a task computes on, that nobody else does, and what Spark is asked for."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark import SparkConf
from pyspark.sql import SparkSession

from kdsspark.errors import ConfigError, PlacementError
from kdsspark.network import devices
from kdsspark.spark import embed, placement, units
from kdsspark.spark.embed_images import embed_shard
from kdsspark.spark.import_embeddings import import_file
from kdsspark.spark.placement import Slots, first, resolve, visible_gpus
from kdsspark.spark.units import Outcome, Unit, task_cpus
from kdsspark.storage.files import Store
from tests.cluster.standalone import ROOT, Cluster, standalone

JOB = ROOT / "tests" / "spark" / "placement_job.py"
DISCOVER = ROOT / "conf" / "discover-gpus"

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
    monkeypatch.setattr(placement.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(placement, "_worker", placement._Worker())
    monkeypatch.setattr(placement, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setenv("PATH", str(tmp_path))  # without nvidia-smi

    def next_task(
        visible: str | None = None, usable: int | None = None, given: str | None = None
    ) -> None:
        placement.release()
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        if usable is not None:
            monkeypatch.setattr(devices, "gpu_count", lambda: usable)
        monkeypatch.setattr(placement, "_address", lambda: given)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is put back: workers write to it
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    yield next_task
    placement.release()


def cuda_visible_devices() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def test_spark_s_gpu_becomes_the_first(worker: Worker) -> None:
    worker(visible="2,5,7", usable=3, given="1")
    assert (placement.device(), cuda_visible_devices()) == ("cuda:0", "5,2,7")
    assert placement.device() == "cuda:0"  # also when asked again


def test_a_reused_worker_finds_another_gpu_behind_it(worker: Worker) -> None:
    worker(visible="2,5", usable=2, given="1")
    assert placement.device() == "cuda:0"
    worker(given="0")
    assert (placement.device(), cuda_visible_devices()) == ("cuda:1", "5,2")
    worker(given="1")
    assert placement.device() == "cuda:0"


def test_a_reused_worker_that_sees_one_gpu_says_so(worker: Worker) -> None:
    worker(usable=1, given="1")
    assert (placement.device(), cuda_visible_devices()) == ("cuda:0", "1")
    worker(given="0")
    with pytest.raises(PlacementError, match=r"gpu\.amount=1, an executor for every GPU"):
        placement.device()


def test_a_machine_without_gpus_computes_on_its_cpu(worker: Worker) -> None:
    worker(usable=0)
    assert (placement.device(), cuda_visible_devices()) == ("cpu", None)


def test_a_gpu_that_torch_cannot_use_is_left_to_others(worker: Worker) -> None:
    worker(visible="0", usable=0)
    assert placement.device() == "cpu"
    with in_use("0"):
        pass


def test_no_silent_cpu_where_spark_gave_a_gpu(worker: Worker) -> None:
    worker(visible="2,5", usable=0, given="1")
    with pytest.raises(PlacementError, match=r"GPU 1, but torch finds none with .*=5,2"):
        placement.device()


def test_torch_s_only_gpu_needs_no_nvidia_smi(worker: Worker) -> None:
    worker(usable=1)
    assert placement.device() == "cuda:0"


# -- one task a GPU ------------------------------------------------------------------------------


@contextmanager
def in_use(gpu: str) -> Iterator[None]:
    """As by another process: a lock belongs to an open file, not to a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "_worker", placement._Worker())
        assert placement._lock_one(gpu)
        handle = placement._worker.lock
    assert handle
    yield
    os.close(handle)


def test_a_second_task_on_the_only_gpu_names_what_to_configure(worker: Worker) -> None:
    worker(visible="MIG-a/1/0", usable=1)
    with in_use("MIG-a/1/0"), pytest.raises(PlacementError) as caught:
        placement.device()
    for key in ("executor.resource.gpu.amount", "gpu.discoveryScript", "task.resource.gpu.amount"):
        assert key in str(caught.value)
    worker()
    assert placement.device() == "cuda:0"


def test_a_killed_process_holds_no_gpu(worker: Worker) -> None:
    worker(visible="2", usable=1)
    path = str(placement._lock_file("2"))
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
            placement.device()
        other.kill()
    assert placement.device() == "cuda:0"


def test_a_task_without_address_takes_a_free_gpu_and_keeps_to_it(worker: Worker) -> None:
    worker(visible="2,5", usable=2)
    with in_use("2"):
        assert (placement.device(), cuda_visible_devices()) == ("cuda:0", "5,2")
        worker()
        assert placement.device() == "cuda:0"
    worker()
    assert placement.device() == "cuda:0"


def test_a_task_without_address_wants_only_what_its_process_can_use(worker: Worker) -> None:
    worker(visible="MIG-a,MIG-b", usable=1)  # CUDA shows a process no second MIG device
    assert placement.device() == "cuda:0"
    worker()
    with in_use("MIG-a"), pytest.raises(PlacementError, match=r"^MIG-a: every GPU"):
        placement.device()


def test_two_tasks_given_the_same_gpu_are_told(worker: Worker) -> None:
    worker(visible="2,5", usable=2, given="1")
    with in_use("5"), pytest.raises(PlacementError, match="GPU 5 was given to two tasks"):
        placement.device()


def test_a_killed_worker_may_take_a_moment_to_leave(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(visible="2,5", usable=2, given="1")
    with ExitStack() as leaving:
        leaving.enter_context(in_use("5"))
        monkeypatch.setattr(placement.time, "sleep", lambda _: leaving.close())
        assert placement.device() == "cuda:0"


# -- what Spark is asked for ---------------------------------------------------------------------


def context(master: str, **gpu: object) -> Any:
    """A SparkContext as far as its configuration goes."""
    conf = SparkConf(loadDefaults=False)
    for key, value in gpu.items():
        conf.set(f"spark.{key.replace('_', '.')}", str(value))
    return SimpleNamespace(master=master, getConf=lambda: conf)


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("master", ["spark://h:1", "yarn", "k8s://h", "local-cluster[2,1,1024]"])
def test_masters_that_schedule_by_stage_give_each_task_a_gpu(master: str) -> None:
    gpus = {"executor_resource_gpu_amount": 2, "executor_cores": 9}
    profile = placement.slots(context(master, **gpus)).profile
    assert profile
    assert amounts(profile.taskResources) == {"gpu": 1, "cpus": 4}
    assert not profile.executorResources
    assert placement.slots(context(master)) == Slots()


@pytest.mark.usefixtures("spark")
def test_dynamic_allocation_starts_executors_with_gpus() -> None:
    asked = context(
        "k8s://https://h",
        executor_resource_gpu_amount=2,
        executor_resource_gpu_vendor="nvidia.com",
        executor_resource_gpu_discoveryScript="/discover",
        dynamicAllocation_enabled="true",
    )
    profile = placement.slots(asked).profile
    assert profile
    assert amounts(profile.taskResources) == {"gpu": 1}
    gpu = profile.executorResources["gpu"]
    assert (gpu.amount, gpu.discoveryScript, gpu.vendor) == (2, "/discover", "nvidia.com")


def amounts(requests: Any) -> dict[str, float]:
    return {name: request.amount for name, request in requests.items()}


def test_local_masters_run_as_many_tasks_as_there_are_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, at_once in ((0, None), (3, 3)):
        monkeypatch.setattr(devices, "gpu_count", lambda count=count: count)
        assert placement.slots(context("local[8]")) == Slots(at_once=at_once)


def test_a_local_master_would_wait_for_gpus_for_ever() -> None:
    with pytest.raises(ConfigError, match=r"^spark\.task\.resource\.gpu\.amount: must not be set"):
        placement.slots(context("local[*]", task_resource_gpu_amount=1))


def test_an_executor_has_whole_gpus() -> None:
    with pytest.raises(ConfigError, match=r"gpu\.amount: must be at least 1, got 0"):
        placement.slots(context("yarn", executor_resource_gpu_amount=0))


def _note_times(folder: Path, number: int) -> Outcome:
    start = time.time()
    time.sleep(0.1)
    (folder / str(number)).write_text(json.dumps([start, time.time()]))
    return Outcome({"cpus": task_cpus()})


def test_few_units_at_once_share_all_cores(spark: SparkSession, tmp_path: Path) -> None:
    def task(number: int) -> Outcome:
        return _note_times(tmp_path, number)

    work = [Unit(f"net/set/{number}", "d", number) for number in range(3)]
    store = Store.at(str(tmp_path / "out"))
    gpus = Slots(at_once=1)
    done = units.run(spark, store, "stage", work, task, "units", gpus.spread, gpus.at_once)
    assert [receipt.counts["cpus"] for receipt in done] == [2] * 3  # of local[2]
    times = sorted(json.loads((tmp_path / str(number)).read_text()) for number in range(3))
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times))
    (after,) = units.run(spark, store, "next", work[:1], task, "units")
    assert after.counts["cpus"] == 1


def test_embed_gives_gpus_to_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: Any) -> list[Any]:
        return [(unit.name, arguments[-1]) for unit in arguments[3]]

    monkeypatch.setattr(units, "run", run)
    monkeypatch.setattr(placement, "slots", lambda _: Slots(at_once=7))
    shard = SimpleNamespace(plan=None)  # up to date
    work = [
        Unit(task.__name__, "d", (partial(task, None), shard))
        for task in (embed_shard, import_file)
    ]
    done = embed.run(SimpleNamespace(sparkContext=None), None, work)
    assert done == [("embed_shard", 7), ("import_file", "images")]


def test_a_task_that_fails_leaves_its_gpu_too(worker: Worker) -> None:
    worker(visible="2", usable=1)

    def fail(_: object) -> Outcome:
        assert placement.device() == "cuda:0"
        raise MemoryError

    with pytest.raises(MemoryError):
        embed._call_on_gpu({"net/images": fail}, ("net/images", None))
    with in_use("2"):
        pass


# -- conf/ ---------------------------------------------------------------------------------------


def settings_of(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(maxsplit=1) for line in lines)


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("name", ["standalone", "yarn", "kubernetes"])
def test_examples_give_every_embedding_task_a_gpu_and_its_cores(name: str) -> None:
    settings = settings_of(ROOT / "conf" / f"gpu-{name}.conf")
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    profile = placement.slots(SimpleNamespace(master="yarn", getConf=lambda: conf)).profile
    assert profile
    assert amounts(profile.taskResources) == {"gpu": 1, "cpus": 8}
    scripts = [value for key, value in settings.items() if key.endswith("discoveryScript")]
    assert [Path(script).name for script in scripts] == [DISCOVER.name]


@pytest.mark.parametrize(
    ("visible", "addresses"),
    [(None, ["0", "1"]), ("", ["0", "1"]), ("4", ["0"]), ("5,GPU-a,7", ["0", "1", "2"])],
)
def test_discovered_addresses_are_positions(
    tmp_path: Path, visible: str | None, addresses: list[str]
) -> None:
    path = f"{nvidia_smi(tmp_path, TWO_GPUS)}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path} | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    printed = subprocess.run([DISCOVER], env=env, capture_output=True, check=True).stdout
    assert json.loads(printed) == {"name": "gpu", "addresses": addresses}


def test_discovery_fails_where_nvidia_smi_does(tmp_path: Path) -> None:
    path = f"{nvidia_smi(tmp_path, 'exit 9')}{os.pathsep}{os.environ['PATH']}"
    assert subprocess.run([DISCOVER], env={"PATH": path}).returncode == 9


# -- on a cluster --------------------------------------------------------------------------------


TORCH = """
class cuda:
    is_available = lambda: True
    device_count = lambda: 2
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One worker with three cores that believes it has two GPUs."""
    folder = tmp_path_factory.mktemp("cluster")
    path = f"{nvidia_smi(folder / 'bin', TWO_GPUS)}{os.pathsep}{os.environ['PATH']}"
    conf = {
        "spark.worker.resource.gpu.amount": 2,
        "spark.worker.resource.gpu.discoveryScript": DISCOVER,
    }
    (folder / "torch.py").write_text(TORCH)
    env = {
        "PATH": path,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "TMPDIR": str(folder),  # for locks, which others on this machine shall not see
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with standalone(folder / "spark", cores=3, conf=conf, env=env) as started:
            yield started


def submit(
    cluster: Cluster, folder: Path, stages: str, count: int, **gpu: object
) -> subprocess.CompletedProcess[str]:
    settings = {"executor.memory": "512m", "executor.cores": 3, "ui.enabled": "false", **gpu}
    options = [f"--conf=spark.{key.replace('_', '.')}={value}" for key, value in settings.items()]
    return cluster.submit(*options, JOB, folder, stages, str(count))


def places(folder: Path, stage: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in folder.glob(f"{stage}-*.json")]


def at_the_same_time(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    pairs = itertools.combinations(found, 2)
    return [(a, b) for a, b in pairs if a["start"] < b["end"] and b["start"] < a["end"]]


def test_concurrent_tasks_compute_on_different_gpus(cluster: Cluster, tmp_path: Path) -> None:
    done = submit(cluster, tmp_path, "embed,measure", 6, executor_resource_gpu_amount=2)
    assert done.returncode == 0, done.stdout + done.stderr
    embedded = places(tmp_path, "embed")
    assert len(embedded) == 6
    for place in embedded:
        gpu = place["visible"].split(",")[int(place["device"].removeprefix("cuda:"))]
        assert gpu == {"0": "GPU-aaaa", "1": "GPU-bbbb"}[place["given"][0]]
    pairs = at_the_same_time(embedded)
    assert pairs
    assert all(a["given"] != b["given"] for a, b in pairs)
    assert any(a["visible"] != b["visible"] for a, b in pairs)
    measured = places(tmp_path, "measure")
    assert all(place["cpus"] == 1 and not place["given"] for place in measured)
    assert len(at_the_same_time(measured)) >= 3  # all pairs of three tasks


def test_more_tasks_than_gpus_fail_at_once_and_name_the_configuration(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = submit(cluster, tmp_path, "embed", 40)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "GPU-aaaa, GPU-bbbb: every GPU of this machine is used" in done.stdout
    assert "spark.executor.resource.gpu.amount and" in done.stdout
    assert len(places(tmp_path, "embed")) < 20

"""GPUs: what Spark is asked for, and what tasks get of it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark import SparkConf

from kdsspark.engine import gpus as placement
from kdsspark.engine.gpus import Slots
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.work import run_items, task_cpus
from kdsspark.errors import ConfigError
from kdsspark.network import devices
from kdsspark.output.names import ItemName
from kdsspark.output.output import Output
from tests.cluster.standalone import ROOT, Cluster, standalone
from tests.engine.test_gpus import TWO_GPUS, nvidia_smi
from tests.inprocess import InProcess

JOB = ROOT / "tests" / "engine" / "gpus_job.py"
DISCOVER = ROOT / "conf" / "discover-gpus"


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


def test_items_take_turns_at_few_gpus_with_all_cores(in_process: InProcess, tmp_path: Path) -> None:
    receipts, gpus = Output.at(str(tmp_path)).receipts("stage"), Slots(at_once=1)
    work = [WorkItem(name=ItemName(f"net/set/{number}"), digest="d") for number in range(3)]
    done = run_items(in_process, receipts, work, _note_cpus, "items", gpus.spread, gpus.at_once)  # type: ignore[arg-type]
    assert in_process.sparkContext.jobs == [1, 1, 1]
    assert [receipt.counts["cpus"] for receipt in done] == [2] * 3  # of local[2]
    later = [WorkItem(name=work[0].name, digest="another")]
    (after,) = run_items(in_process, receipts, later, _note_cpus, "items")  # type: ignore[arg-type]
    assert after.counts["cpus"] == 1


def _note_cpus(_: WorkItem) -> Outcome:
    return Outcome({"cpus": task_cpus()})


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


@pytest.mark.cluster
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


@pytest.mark.cluster
def test_more_tasks_than_gpus_fail_at_once_and_name_the_configuration(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = submit(cluster, tmp_path, "embed", 40)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "GPU-aaaa, GPU-bbbb: every GPU of this machine is used" in done.stdout
    assert "spark.executor.resource.gpu.amount and" in done.stdout
    assert len(places(tmp_path, "embed")) < 20

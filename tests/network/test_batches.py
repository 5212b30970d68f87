from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import Network
from kdsspark.network.batches import batch_images, host_bytes, image_bytes
from kdsspark.network.spec import NetworkSpec
from kdsspark.network.weights import prepare

GIB = 2**30
CONV1_2 = {"conv1_2": "features.2"}  # of VGG16: its input and its output are the largest maps


def spec(folder: Path, **keys: Any) -> NetworkSpec:
    defaults = {"name": "n", "architecture": "vgg16", "weights": "random", "layers": CONV1_2}
    return prepare(Network(**{**defaults, **keys}), folder / "n.safetensors")


@pytest.mark.parametrize(("crops", "views"), [("ten", 10), ("center", 1), ("twelve", 12)])
@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("bfloat16", 2)])
def test_an_image_takes_its_two_largest_maps(
    tmp_path: Path, crops: str, views: int, precision: str, size: int
) -> None:
    found = image_bytes(spec(tmp_path, crops=crops, precision=precision))
    assert found == pytest.approx(views * 2 * 64 * 224 * 224 * size, rel=1e-3)


def test_a_gpu_takes_what_fits_into_half_its_memory(tmp_path: Path) -> None:
    network = spec(tmp_path)
    one = image_bytes(network)
    assert batch_images(network, "cuda", 12 * one + 1) == 6
    assert batch_images(network, "cuda:1", 12 * one + 1, tasks=2) == 3
    assert batch_images(network, "cuda", one) == 1
    assert batch_images(network, "cuda", 80 * GIB) == 32


def test_a_cpu_takes_ten_views_or_four_images_that_share(tmp_path: Path) -> None:
    fire = {"architecture": "squeezenet1_1", "layers": {"fire9": "features.12"}}
    assert batch_images(spec(tmp_path, **fire), "cpu") == 1
    assert batch_images(spec(tmp_path, **fire, crops="center"), "cpu", 80 * GIB) == 10
    assert batch_images(spec(tmp_path, **fire, crops="center"), "cpu", 2**20) == 1
    conv2_1 = {"layers": {"conv2_1": "features.5"}}
    assert batch_images(spec(tmp_path, **conv2_1), "cpu", 0) == 4
    assert batch_images(spec(tmp_path, **conv2_1, pooling="max"), "cpu") == 1


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


MACHINE = {"proc/meminfo": "MemTotal:  9999 kB\nMemFree:  1 kB\nMemAvailable:    4000 kB\n"}


def test_a_machine_without_cgroups(tmp_path: Path) -> None:
    assert host_bytes(tmp_path) == math.inf
    write(tmp_path, MACHINE)
    assert host_bytes(tmp_path) == 4000 * 1024


def test_the_closest_of_the_cgroups_around_a_process(tmp_path: Path) -> None:
    outer, inner = "sys/fs/cgroup/yarn", "sys/fs/cgroup/yarn/container"
    write(tmp_path, MACHINE | {"proc/self/cgroup": "0::/yarn/container\n"})
    for folder, limit in ((outer, "3000000"), (inner, "max")):
        stat = "anon 5\ninactive_file 200000\n"
        usage = {"memory.current": "1000000\n", "memory.max": f"{limit}\n", "memory.stat": stat}
        write(tmp_path, {f"{folder}/{name}": text for name, text in usage.items()})
    assert host_bytes(tmp_path) == 3_000_000 - (1_000_000 - 200_000)


def test_a_container_with_cgroups_of_version_1(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/memory"  # where a container sees its own, by whatever name
    files = {
        "proc/self/cgroup": "9:cpu:/docker/1f\n4:memory:/docker/1f\n0::/\n",
        f"{base}/memory.limit_in_bytes": "2000000\n",
        f"{base}/memory.usage_in_bytes": "1000000\n",
        f"{base}/memory.stat": "cache 700000\ntotal_inactive_file 500000\n",
    }
    write(tmp_path, MACHINE | files)
    assert host_bytes(tmp_path) == 1_500_000


def test_this_machine_has_memory() -> None:
    assert host_bytes() > 2**24

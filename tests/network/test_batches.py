from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kdsspark.config import Preprocessing
from kdsspark.network import batches
from kdsspark.network.activations import inspect
from kdsspark.network.architectures import skeleton
from kdsspark.network.batches import (
    batch_images,
    call_images,
    host_bytes,
    image_bytes,
    passes_at_once,
)
from kdsspark.network.spec import NetworkSpec

GIB = 2**30
CONV1_2 = {"conv1_2": "features.2"}  # of VGG16: its input and its output are the largest maps
FIRE9 = {"fire9": "features.12"}


def spec(architecture: str = "vgg16", **keys: Any) -> NetworkSpec:
    table = keys.pop("layers", CONV1_2)
    layers = inspect(skeleton(architecture, 224), table, "post_relu", 224)
    fixed = {"name": "n", "activation": "post_relu", "weights": "", "weights_digest": ""}
    chosen = {"pooling": "mean", "crops": "ten", "precision": "float32"} | keys
    preprocessing = Preprocessing(resize=256, crop=224)
    return NetworkSpec(
        architecture=architecture, layers=layers, preprocessing=preprocessing, **fixed, **chosen
    )


@pytest.mark.parametrize(("crops", "views"), [("ten", 10), ("center", 1), ("twelve", 12)])
@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("bfloat16", 2)])
def test_an_image_takes_its_two_largest_maps(
    crops: str, views: int, precision: str, size: int
) -> None:
    found = image_bytes(spec(crops=crops, precision=precision))
    assert found == pytest.approx(views * 2 * 64 * 224 * 224 * size, rel=1e-3)


@pytest.mark.parametrize(
    ("keys", "images"),
    [
        ({}, 8),  # 2 GiB / (10 views x 2 maps x 64 x 224 x 224 x 4 bytes) = 8.4
        ({"precision": "bfloat16"}, 16),
        ({"crops": "twelve"}, 6),
        ({"crops": "center"}, 83),
        ({"architecture": "squeezenet1_1", "layers": FIRE9, "crops": "center"}, 320),
        ({"architecture": "squeezenet1_1", "layers": FIRE9, "precision": "bfloat16"}, 32),
    ],
)
def test_a_pass_on_a_gpu_has_2_gib_or_320_views(keys: dict[str, Any], images: int) -> None:
    assert batch_images(spec(**keys), "cuda") == batch_images(spec(**keys), "cuda:1") == images


CENTER = {"crops": "center"}
# One of its squeezed layers has 6 units: 16 images make 3 x 32 float32, 32 images 3 x 64 bfloat16.
EFFICIENT = {"architecture": "efficientnet_b0", "layers": {"last": "features.8"}, **CENTER}


@pytest.mark.parametrize(
    ("keys", "images"),
    [
        ({"crops": "ten"}, 1),
        ({"crops": "twelve"}, 1),
        (CENTER, 8),
        (CENTER | {"precision": "bfloat16"}, 8),
        (CENTER | {"architecture": "squeezenet1_1", "layers": FIRE9}, 8),
        (EFFICIENT, 16),
        (EFFICIENT | {"precision": "bfloat16"}, 32),
    ],
)
def test_a_pass_on_a_cpu_is_an_image_or_whole_vectors(keys: dict[str, Any], images: int) -> None:
    assert batch_images(spec(**keys), "cpu") == images


def test_a_call_keeps_all_cpus_busy() -> None:
    assert call_images(8, "cpu", cpus=3) == 8 * 3 * 4
    assert call_images(30, "cuda:0", cpus=3) == 4 * 30
    assert call_images(320, "cuda", cpus=3) == 320


def test_passes_side_by_side_take_half_of_the_tasks_share_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "os", SimpleNamespace(cpu_count=lambda: 8))
    network = spec()
    one = image_bytes(network)
    assert passes_at_once(network, 1, cpus=4, free=80 * GIB) == 4
    assert passes_at_once(network, 1, cpus=4, free=2 * 2 * 3 * one + 4) == 3
    assert passes_at_once(network, 2, cpus=4, free=2 * 2 * 3 * one + 4) == 1
    assert passes_at_once(network, 1, cpus=16, free=2 * 3 * one) == 3
    assert passes_at_once(network, 1, cpus=4, free=0) == 1
    assert passes_at_once(network, 1, cpus=1, free=0) == 1


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

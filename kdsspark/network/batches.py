"""How many images go through a network at a time: as many as help and as fit (executor)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, fx

from kdsspark.network import activations
from kdsspark.network.architectures import skeleton
from kdsspark.network.crop_sharing import sharing
from kdsspark.network.crops import VIEWS
from kdsspark.network.spec import NetworkSpec

# Views a pass beyond which nothing is gained. A CPU is busy with one image; where ten crops share
# work, images only meet in the linear layers.
_MOST_VIEWS: Final = {"cpu": 10, "cuda": 320}
_MOST_SHARING: Final = 4  # images
# Of the free memory, the part that activations may take; algorithms need room to work in, too.
_SHARE: Final = 0.5


def batch_images(
    spec: NetworkSpec, device: str, free_bytes: int | None = None, tasks: int = 1
) -> int:
    """Images per call of the extractor of ``spec`` on ``device`` (``cpu``, ``cuda``, ``cuda:1``).

    They take up to half of ``free_bytes``, by default what the device or the host has free,
    divided by the number of ``tasks`` that compute there; at least one image is taken.
    """
    kind = torch.device(device).type
    if kind == "cpu" and _shares(spec):
        return _MOST_SHARING
    most = max(1, _MOST_VIEWS[kind] // VIEWS[spec.crops])
    if most == 1:
        return 1
    free = free_bytes if free_bytes is not None else _free_bytes(device)
    return int(max(1, min(most, free / tasks * _SHARE // image_bytes(spec))))


@cache
def _shares(spec: NetworkSpec) -> bool:
    return sharing.split(_reader(spec), spec) is not None


@cache
def image_bytes(spec: NetworkSpec) -> int:
    """Most bytes that the activations of one image take at a time, found on shapes alone."""
    peak = _Peak(_reader(spec))
    crop, dtype = spec.preprocessing.crop, getattr(torch, spec.precision)
    peak.run(torch.empty(1, 3, crop, crop, device="meta", dtype=dtype))
    return peak.bytes * VIEWS[spec.crops]


def _reader(spec: NetworkSpec) -> fx.GraphModule:
    model = skeleton(spec.architecture, spec.preprocessing.crop)
    reader = activations.read(model, spec.layers, spec.activation, spec.pooling)
    return reader.to(getattr(torch, spec.precision))


class _Peak(fx.Interpreter):
    """Runs a module and keeps the most bytes of tensors alive at a time."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.bytes = 0

    def run_node(self, n: fx.Node) -> Any:
        output = super().run_node(n)
        # By identity, because an in-place ReLU returns its input.
        alive = {id(value): value for value in [*self.env.values(), output]}.values()
        self.bytes = max(self.bytes, sum(v.nbytes for v in alive if isinstance(v, Tensor)))
        return output


def _free_bytes(device: str) -> float:
    return host_bytes() if device == "cpu" else torch.cuda.mem_get_info(device)[0]


def host_bytes(root: Path = Path("/")) -> float:
    """Bytes of memory free for this process on Linux: the machine's, or its cgroups' if less.

    Infinite where ``root`` has no files to tell.
    """
    return min(_machine_bytes(root), *_cgroup_bytes(root), math.inf)


def _machine_bytes(root: Path) -> float:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    return next((1024 * int(s.split()[1]) for s in lines if s.startswith("MemAvailable")), math.inf)


def _cgroup_bytes(root: Path) -> Iterator[float]:
    """Bytes left to each cgroup around this process; files it read do not count as used."""
    groups = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            yield from _left(groups, name, "memory.max", "memory.current", "inactive_file")
        elif controllers == "memory":
            files = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _left(groups / "memory", name, *files)


def _left(base: Path, name: str, limit: str, usage: str, cached: str) -> Iterator[float]:
    inner = base / name.lstrip("/")
    for folder in (inner, *inner.parents):
        try:
            most = (folder / limit).read_text().strip()
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            used = int((folder / usage).read_text()) - int(stat.get(cached, 0))
        except OSError:
            continue  # not seen from within a container, or without a limit of its own
        if most != "max":
            yield int(most) - used

"""How many images go through a network at a time (executor).

The number of images in a forward pass changes the last bits of their features, because libraries
choose their arithmetic by the shape of what they multiply. Therefore a pass always has the same
number of images, which follows from the network and the type of device alone. What the memory and
the CPUs of the moment decide is how many passes run side by side.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode

from kdsspark.network import activations
from kdsspark.network.architectures import skeleton
from kdsspark.network.crops import VIEWS
from kdsspark.network.spec import NetworkSpec

# A pass on a GPU has at most so many views; more gain nothing.
_GPU_VIEWS: Final = 320
# Bytes that the activations of a pass on a GPU may take. cuDNN takes as much again, and both fit on
# a GPU of 8 GiB. Passes of VGG16 that are twice as large gain 1 % on a large GPU.
_GPU_BYTES: Final = 2 << 30
# Images that a GPU gets in one call of the extractor. At its end the GPU waits for what comes next.
_GPU_CALL_IMAGES: Final = 128
# Images of a pass on a CPU, with one view each: in AlexNet and ResNets, reading the weights for a
# single view takes longer than multiplying by them. Several views of one image are a pass.
_CPU_IMAGES: Final = 8
# Bytes that torch's elementwise loops take at a time on a CPU: two vectors of AVX-512.
_STRIDE_BYTES: Final = 128
# Passes that each CPU of a task gets in one call of the extractor: CPUs whose images are small
# then wait less for the others.
_PASSES_PER_CPU: Final = 4
# The part of the free memory that activations may take; algorithms need room to work in, too.
_SHARE: Final = 0.5
_SHAPE_VIEWS: Final = 5  # of the pass that finds out the shapes; a number that is no other size


def batch_images(spec: NetworkSpec, device: str) -> int:
    """Images of a forward pass of ``spec`` on ``device`` (``cpu``, ``cuda``, ``cuda:1``).

    Depends on the network and the type of device alone, so that it is the same in every run.
    """
    views = VIEWS[spec.crops]
    if torch.device(device).type == "cpu":
        return _whole_vectors(spec, _CPU_IMAGES) if views == 1 else 1
    return max(1, min(_GPU_VIEWS // views, _GPU_BYTES // image_bytes(spec)))


def call_images(batch: int, device: str, cpus: int) -> int:
    """Images to hand to the extractor in one call, for passes of ``batch`` images.

    On a GPU these are several passes, or one of many images; on a CPU they are a few passes for
    each of the ``cpus`` of the task.
    """
    passes = cpus * _PASSES_PER_CPU if device == "cpu" else max(1, _GPU_CALL_IMAGES // batch)
    return batch * passes


def passes_at_once(spec: NetworkSpec, batch: int, cpus: int, free: float | None = None) -> int:
    """Passes of ``batch`` images that a task with ``cpus`` CPUs computes on them side by side.

    One for each CPU, or as many as fit into half of the task's share of the ``free`` bytes (by
    default: of the host), the share being that of its CPUs. At least one.
    """
    if cpus == 1:
        return 1
    share = cpus / max(cpus, os.cpu_count() or 1)
    bytes_left = (host_bytes() if free is None else free) * share * _SHARE
    return int(max(1, min(cpus, bytes_left // (batch * image_bytes(spec)))))


def _whole_vectors(spec: NetworkSpec, images: int) -> int:
    """``images``, doubled until no activation of a pass ends within a vector.

    Torch computes the elements behind the last whole vector by other instructions. Their results
    differ in the last bit (sigmoid, SiLU), so the last image of a pass would get other features.
    """
    while images * _sizes(spec).divisor % (_STRIDE_BYTES // _dtype(spec).itemsize):
        images *= 2
    return images


def image_bytes(spec: NetworkSpec) -> int:
    """Most bytes that the activations of one image take at a time, derived from shapes alone."""
    return _sizes(spec).bytes * VIEWS[spec.crops]


class _Sizes(NamedTuple):
    """Sizes of the activations that a view has in a network."""

    bytes: int  # most that are in memory at a time
    divisor: int  # greatest one that the numbers of elements have in common


@cache
def _sizes(spec: NetworkSpec) -> _Sizes:
    crop = spec.preprocessing.crop
    model = skeleton(spec.architecture, crop, spec.settings)
    reader = activations.read(model, spec.layers, spec.activation, spec.pooling, crop)
    reader, sizes = reader.to(_dtype(spec)), _Counted()
    views = torch.empty(_SHAPE_VIEWS, 3, crop, crop, device="meta", dtype=_dtype(spec))
    if isinstance(reader, fx.GraphModule):
        _Metered(reader, sizes).run(views)
    else:
        with torch.inference_mode(), _MeteredOperations(sizes):
            reader(views)
    return _Sizes(sizes.bytes // _SHAPE_VIEWS, math.gcd(*sizes.elements))


@dataclass
class _Counted:
    """What a pass on the meta device has shown so far."""

    bytes: int = 0  # most that are in memory at a time
    elements: set[int] = field(default_factory=set)  # of a view, in any of the activations

    def note(self, output: Any, alive: int) -> None:
        """Count what an operation returns, while so many bytes are ``alive``."""
        self.bytes = max(self.bytes, alive)
        if isinstance(output, Tensor) and output.ndim and output.shape[0] % _SHAPE_VIEWS == 0:
            self.elements.add(output.numel() // _SHAPE_VIEWS)


def _dtype(spec: NetworkSpec) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, spec.precision)
    return dtype


class _Metered(fx.Interpreter):
    """Runs a traced network on the meta device and notes the sizes of its tensors."""

    def __init__(self, module: fx.GraphModule, sizes: _Counted) -> None:
        super().__init__(module)
        self.sizes = sizes

    def run_node(self, n: fx.Node) -> Any:
        output = super().run_node(n)
        # By identity, because an in-place ReLU returns its input.
        alive = {id(value): value for value in [*self.env.values(), output]}.values()
        self.sizes.note(output, sum(v.nbytes for v in alive if isinstance(v, Tensor)))
        return output


class _MeteredOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the sizes of all tensors that a network makes which cannot be traced."""

    def __init__(self, sizes: _Counted) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes = sizes
        self._alive: dict[int, weakref.ref[Tensor]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, list | tuple) else (output,):
            if isinstance(tensor, Tensor):
                self._alive[id(tensor)] = weakref.ref(tensor)
                alive = [t for reference in self._alive.values() if (t := reference()) is not None]
                self._alive = {id(t): weakref.ref(t) for t in alive}
                self.sizes.note(tensor, sum(t.nbytes for t in alive if t._base is None))
        return output


def host_bytes(root: Path = Path("/")) -> float:
    """Bytes of memory that are free for this process on Linux: the machine's, or its cgroups'.

    The smallest counts; infinite if ``root`` lacks the files to read them from.
    """
    return min(_machine_bytes(root), *_cgroup_bytes(root), math.inf)


def _machine_bytes(root: Path) -> float:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    return next((1024 * int(s.split()[1]) for s in lines if s.startswith("MemAvailable")), math.inf)


def _cgroup_bytes(root: Path) -> Iterator[float]:
    """Bytes left to each cgroup around this process; cached files do not count as used."""
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
            continue  # a container does not see it, or it has no limit of its own
        if most != "max":
            yield int(most) - used

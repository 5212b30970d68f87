"""Layers read by forward hooks, for networks that torch.fx cannot trace.

A hook pools its layer's activation at once, before a later in-place operation can overwrite it, and
the pass ends with the last wanted layer. What is read, and how, is as in :mod:`.graph`.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations.points import BATCH_NORM, RELU, Point, points
from kdsspark.network.spec import Kind

VIEWS: Final = 2
"""Of the pass that determines the shapes."""


Reduce = Callable[[Tensor], Tensor]
"""What becomes of an activation."""


@dataclass(frozen=True)
class Call:
    """One call of a module in a pass; times count the beginnings and ends of all calls."""

    path: str
    begun: int
    ended: int
    shape: torch.Size | None  # of its output, or of its first where it returns several
    input_shape: torch.Size | None


def survey(model: nn.Module, crop: int) -> list[Call]:
    """Every call of a module in a pass of two crops of ``crop`` pixels, in the order of their ends.

    ``model`` may be on any device: no value is computed. Raises torch's own error if the model
    cannot take such crops.
    """
    on_meta = _with(model, lambda tensor: tensor.to("meta"))
    calls: list[Call] = []
    begun: list[int] = []
    clock = iter(range(1 << 62))

    def begin(_: nn.Module, __: Any) -> None:
        begun.append(next(clock))

    def end(path: str, _: nn.Module, inputs: Any, output: Any) -> None:
        shapes = (getattr(first(value), "shape", None) for value in (output, inputs))
        calls.append(Call(path, begun.pop(), next(clock), *shapes))

    for path, module in on_meta.named_modules():
        module.register_forward_pre_hook(begin)
        module.register_forward_hook(partial(end, path))
    with torch.inference_mode():
        on_meta(torch.empty(VIEWS, 3, crop, crop, device="meta"))
    return calls


def first(value: Any) -> Any:
    """The first of several values, as attention returns its weights behind its output."""
    return value[0] if isinstance(value, list | tuple) and value else value


_NO_CALL: Final = Call("", 0, 0, None, None)


@dataclass(frozen=True)
class WantedLayer:
    """What a survey says about one layer."""

    point: Point
    ended: int  # when it has been read: at the end of the last call, or at its beginning
    shape: torch.Size
    kind: Kind


def wanted(
    model: nn.Module, table: Mapping[str, str], activation: str, calls: Sequence[Call]
) -> dict[str, WantedLayer]:
    """Each layer of ``table``; raises ConfigError like :func:`.graph.needs`."""
    modules = dict(model.named_modules())
    last = {call.path: i for i, call in enumerate(calls)}
    found = {}
    for layer, point in points(model, table, activation).items():
        call = calls[last[point.path]] if point.path in last else _NO_CALL
        shape = call.input_shape if point.before else call.shape
        if shape is None:
            raise ConfigError(
                f"layers.{layer}: must be a module that returns one tensor on the way to the "
                f"network's output, got {table[layer]!r}"
            )
        ended = call.begun if point.before else call.ended
        found_kind = kind(shape, calls[: last[point.path] + (not point.before)], modules)
        found[layer] = WantedLayer(point, ended, shape, found_kind)
    return found


def kind(shape: Sequence[int], calls: Sequence[Call], modules: Mapping[str, nn.Module]) -> Kind:
    """By the module that was called last of ``calls``, in front of ReLUs and batch-norms."""
    if len(shape) == 4:
        return "conv"
    passed = RELU + BATCH_NORM + (nn.Sequential,)
    weighted = (modules[c.path] for c in reversed(calls) if not isinstance(modules[c.path], passed))
    return "fc" if len(shape) == 2 and isinstance(next(weighted, None), nn.Linear) else "other"


def tensors_until(model: nn.Module, calls: Sequence[Call], time: int) -> set[str]:
    """The keys of the state dict that calls begun until then may use.

    A tensor belongs to its module, or to the next one above it that is called at all.
    """
    begun: dict[str, int] = {}
    for call in calls:
        begun[call.path] = min(call.begun, begun.get(call.path, call.begun))
    return {key for key in model.state_dict() if _owner_begun(key, begun) <= time}


def _owner_begun(key: str, begun: Mapping[str, int]) -> int:
    path = key.rpartition(".")[0]
    while path not in begun:
        path = path.rpartition(".")[0]
    return begun[path]


class Hooked(nn.Module):
    """The model up to its last wanted layer, with the names of its tensors as they are.

    ``reduce`` makes of each layer's activation what :meth:`forward` returns. A pass ends with the
    call ``n_calls`` of the modules that are read. Passes may run in several threads at once.
    """

    model: nn.Module
    reduce: Sequence[Reduce]

    def __init__(
        self, model: nn.Module, points: Sequence[Point], reduce: Sequence[Reduce], n_calls: int
    ) -> None:
        super().__init__()
        # The model's own, so that loading and moving tensors works on both.
        self._parameters, self._buffers = model._parameters, model._buffers
        self._modules = model._modules
        object.__setattr__(self, "model", model)  # not as a part, which would change all names
        self.reduce, self.n_calls = reduce, n_calls
        self._state = threading.local()
        for i, point in enumerate(points):
            module = model.get_submodule(point.path)
            if point.before:
                module.register_forward_pre_hook(partial(self._read_input, i))
            else:
                module.register_forward_hook(partial(self._read_output, i))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """One new tensor per layer, of crops [views, channels, height, width]."""
        found = self._pass(pixels, self.reduce)
        return tuple(found.pop(i) for i in range(len(self.reduce)))

    def activation(self, i: int, pixels: Tensor) -> Tensor:
        """That of layer ``i`` as it is, of the same crops."""
        return self._pass(pixels, [torch.clone] * len(self.reduce))[i]

    def _pass(self, pixels: Tensor, reduce: Sequence[Reduce]) -> dict[int, Tensor]:
        found = self._state.found = {}
        self._state.reduce, self._state.calls = reduce, 0
        with suppress(_AllRead):
            self.model(pixels)
        return found

    def _read_input(self, i: int, _: nn.Module, inputs: Any) -> None:
        self._read(i, inputs)

    def _read_output(self, i: int, _: nn.Module, __: Any, output: Any) -> None:
        self._read(i, output)

    def _read(self, i: int, value: Any) -> None:
        self._state.found[i] = self._state.reduce[i](first(value))
        self._state.calls += 1
        if self._state.calls == self.n_calls:
            raise _AllRead


class _AllRead(Exception):  # noqa: N818
    """Ends a pass: all layers are read."""


def read(
    model: nn.Module, layers: Sequence[WantedLayer], reduce: Sequence[Reduce], calls: Sequence[Call]
) -> Hooked:
    """``model`` with what comes after the last of ``layers`` removed; the tensors are shared."""
    last = max(layer.ended for layer in layers)
    copied = _with(model, lambda tensor: tensor)
    begun = {call.path for call in calls if call.begun <= last}
    later = {call.path for call in calls} - begun
    for path in sorted(later, key=len, reverse=True):  # what is within others goes first
        parent, _, name = path.rpartition(".")
        copied.get_submodule(parent)._modules[name] = None
    points = [layer.point for layer in layers]
    times = [
        call.begun if point.before else call.ended
        for point in points
        for call in calls
        if call.path == point.path
    ]
    return Hooked(copied, points, reduce, sum(time <= last for time in times))


def _with(model: nn.Module, change: Callable[[Tensor], Tensor]) -> nn.Module:
    """A copy of ``model`` whose tensors are not copied, but changed."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        changed = change(parameter.detach())
        memo[id(parameter)] = nn.Parameter(changed, parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = change(buffer)
    return copy.deepcopy(model, memo)

"""Follows maps through the traced graph, by one table of rules.

Where an operation mixes the locations of the whole map, or where no rule says which ones it mixes,
the field is the whole crop from there on. A field holds for all units of a layer together: a unit
may see less, for example behind a concatenation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import torch
from torch import Tensor, fx, nn

from kdsspark.network import activations
from kdsspark.network.receptive_fields.geometry import (
    Axis,
    Field,
    Whole,
    Window,
    adaptive_window,
    slide,
    union,
    windows,
    windows_of,
)
from kdsspark.network.spec import Layer


def receptive_fields(
    model: nn.Module, layers: Sequence[Layer], activation: str, crop: int
) -> dict[str, Field | Whole]:
    """{layer name: the field of its locations} for crops of ``crop`` x ``crop`` pixels.

    ``model`` is on the meta device (:func:`architectures.skeleton`), ``layers`` and ``activation``
    are those of its :class:`NetworkSpec`. No box is too small. A box may be larger than what the
    location sees by less than one dilation, where a dilated window meets padding. Raises like
    :func:`activations.inspect`.
    """
    table = {layer.name: layer.module for layer in layers}
    traced = activations.unpooled(model, table, activation)
    if traced is None:
        return dict.fromkeys(table, Whole("torch.fx cannot trace the network"))
    raw, nodes = traced
    interpreter = _Shapes(raw, garbage_collect_values=False)
    interpreter.run(torch.empty(1, 3, crop, crop, device="meta"))
    maps: dict[fx.Node, _Maps | Whole | None] = {}
    for node in raw.graph.nodes:
        maps[node] = _follow(node, raw, interpreter.env, maps)
    return {layer.name: _of_layer(maps[nodes[layer.name]], layer) for layer in layers}


class _Shapes(fx.Interpreter):
    """Runs the model on the meta device, without the modules that change no shape.

    Batch-norm alone would take a third of the time.
    """

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _RULES.get(type(self.fetch_attr(target)).__name__) is _pointwise:
            return args[0]
        return super().call_module(target, args, kwargs)


@dataclass(frozen=True)
class _Maps:
    """The field of a tensor's locations, and its axes of space, counted from its last axis."""

    field: Field
    y: int = -2
    x: int = -1


@dataclass(frozen=True)
class _Call:
    """An operation, and what it computes from maps of known place."""

    node: fx.Node
    module: nn.Module | None
    inputs: list[tuple[Any, _Maps]]  # values on the meta device: tensors, or tuples of them
    output: Tensor  # the first, if it returns several

    @property
    def operation(self) -> str:
        """The class of the module, or the name of the function or method."""
        name = type(self.module) if self.module is not None else self.node.target
        return str(getattr(name, "__name__", name)).rstrip("_")  # `relu_` is `relu` in place

    def argument(self, position: int, name: str) -> Any:
        """An argument of a function or method."""
        given = self.node.args[position : position + 1]
        return given[0] if given else self.node.kwargs.get(name)

    def whole(self, why: str) -> Whole:
        """The whole crop, because the operation does what ``why`` says."""
        path = f" ({self.node.target})" if self.module is not None else ""
        return Whole(f"{self.operation}{path} {why}")


def _follow(
    node: fx.Node,
    raw: fx.GraphModule,
    values: Mapping[fx.Node, Any],
    maps: Mapping[fx.Node, _Maps | Whole | None],
) -> _Maps | Whole | None:
    """The maps that ``node`` returns; None if it returns no tensor that depends on pixels."""
    outputs = _tensors(values[node])
    if node.op == "placeholder":
        height, width = outputs[0].shape[2:]
        return _Maps(Field(Axis(1, 1, 0, height), Axis(1, 1, 0, width)))
    inputs = [(values[i], found) for i in node.all_input_nodes if (found := maps[i]) is not None]
    if not outputs or not inputs or node.op == "output":
        return None
    known = []
    for value, found in inputs:
        if isinstance(found, Whole):
            return found
        known.append((value, found))
    module = raw.get_submodule(str(node.target)) if node.op == "call_module" else None
    call = _Call(node, module, known, outputs[0])
    return _RULES.get(call.operation, _unknown)(call)


def _tensors(value: Any) -> list[Tensor]:
    several = value if isinstance(value, list | tuple) else (value,)
    return [tensor for tensor in several if isinstance(tensor, Tensor)]


def _of_layer(maps: _Maps | Whole | None, layer: Layer) -> Field | Whole:
    if isinstance(maps, _Maps):
        space = [axis - 4 for axis in (1, 2, 3) if axis != layer.axis]
        return maps.field if [maps.y, maps.x] == space else Whole("its maps have another form")
    return maps or Whole("it does not depend on the pixels")


def _unknown(call: _Call) -> Whole:
    return call.whole("is not known to keep the place of locations")


def _mixing(call: _Call) -> Whole:
    return call.whole("mixes the locations of the map")


def _pointwise(call: _Call) -> _Maps | Whole:
    """Each location from the same location of all inputs."""
    _, first = call.inputs[0]
    for value, maps in call.inputs:
        like = _tensors(value)[0]
        same_size = all(like.shape[axis] == call.output.shape[axis] for axis in (maps.y, maps.x))
        if not same_size or (maps.y, maps.x) != (first.y, first.x):
            return call.whole("combines maps of different forms")
    y = union([maps.field.y for _, maps in call.inputs])
    x = union([maps.field.x for _, maps in call.inputs])
    if y is None or x is None:
        return call.whole("combines maps of different strides")
    return _Maps(Field(y, x), first.y, first.x)


def _apart_from(axes: Callable[[_Call], Sequence[int]]) -> Callable[[_Call], _Maps | Whole]:
    """The rule of operations that mix ``axes``, which count from the last, and no others."""

    def rule(call: _Call) -> _Maps | Whole:
        mixed = set(axes(call))
        touched = any({maps.y, maps.x} & mixed for _, maps in call.inputs)
        return _mixing(call) if touched else _pointwise(call)

    return rule


def _channels(call: _Call) -> list[int]:
    """The axis that the tensors are put together or cut along."""
    position = 2 if call.operation == "chunk" else 1
    axis: int = call.argument(position, "dim") or 0
    return [axis - call.output.ndim if axis >= 0 else axis]


def _normalised(call: _Call) -> range:
    shape = getattr(call.module, "normalized_shape", None) or call.argument(1, "normalized_shape")
    return range(-len(shape), 0)


def _windowed(call: _Call) -> _Maps | Whole:
    if call.module is None:
        names = ["input", "kernel_size", "stride", "padding"]
        names += ["dilation"] if call.operation == "max_pool2d" else []
        given = zip(names, call.node.args, strict=False)
        return _through(call, *windows_of({**dict(given), **call.node.kwargs}))
    both = windows(call.module)
    return _through(call, *both) if both else call.whole("pads with what is not known")


def _adaptive(call: _Call) -> _Maps | Whole:
    value, _ = call.inputs[0]
    sides = list(zip(value.shape[-2:], call.output.shape[-2:], strict=True))
    if any(after == 1 < before for before, after in sides):
        return _mixing(call)
    y, x = (adaptive_window(before, after) for before, after in sides)
    return _through(call, y, x) if y and x else call.whole("has windows of different sizes")


def _through(call: _Call, y: Window, x: Window) -> _Maps | Whole:
    """The maps behind windows over the last two axes."""
    _, maps = call.inputs[0]
    if (maps.y, maps.x) != (-2, -1):
        return _mixing(call)
    height, width = call.output.shape[-2:]
    return _Maps(Field(slide(maps.field.y, y, height), slide(maps.field.x, x, width)))


def _permuted(call: _Call) -> _Maps:
    """The axes in another order, given one by one or as one sequence."""
    _, maps = call.inputs[0]
    first, *rest = call.node.args[1:] or (call.node.kwargs["dims"],)
    given: Any = (first, *rest) if isinstance(first, int) else first
    order = [axis % len(given) for axis in given]
    y, x = (order.index(axis + len(order)) - len(order) for axis in (maps.y, maps.x))
    return _Maps(maps.field, y, x)


def _transposed(call: _Call) -> _Maps:
    _, maps = call.inputs[0]
    n = call.output.ndim
    a, b = (axis % n - n for axis in (call.argument(1, "dim0"), call.argument(2, "dim1")))
    y, x = ({a: b, b: a}.get(axis, axis) for axis in (maps.y, maps.x))
    return _Maps(maps.field, y, x)


def _reshaped(call: _Call) -> _Maps | Whole:
    """An axis stays if equally many values, in row-major order, lie between its locations."""
    value, maps = call.inputs[0]
    before, after = _steps(value.shape), _steps(call.output.shape)
    if not {before[maps.y], before[maps.x]} <= set(after):
        return _mixing(call)
    y, x = (after.index(before[axis]) - len(after) for axis in (maps.y, maps.x))
    return _Maps(maps.field, y, x)


def _steps(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Per axis, its length and the number of values between two locations."""
    return [(length, prod(shape[axis + 1 :])) for axis, length in enumerate(shape)]


def _taken(call: _Call) -> _Maps | Whole:
    """One of several tensors."""
    value, maps = call.inputs[0]
    return _unknown(call) if isinstance(value, Tensor) else maps


_Rule = Callable[[_Call], _Maps | Whole]
_OPERATIONS: Final[dict[_Rule, str]] = {
    _pointwise: "ReLU ReLU6 GELU SiLU Hardswish Hardsigmoid Sigmoid Tanh BatchNorm2d Dropout "
    "Identity relu sigmoid add mul stochastic_depth contiguous",
    _windowed: "Conv2d MaxPool2d AvgPool2d max_pool2d avg_pool2d",
    _adaptive: "AdaptiveAvgPool2d AdaptiveMaxPool2d adaptive_avg_pool2d",
    _apart_from(_channels): "cat chunk",
    _apart_from(_normalised): "LayerNorm layer_norm",
    _apart_from(lambda _: [-1]): "Linear",
    _permuted: "permute",
    _transposed: "transpose swapaxes",
    _reshaped: "view reshape flatten Flatten",
    _taken: "getitem",
    _mixing: "mean MultiheadAttention shifted_window_attention",
}
_RULES: Final = {name: rule for rule, names in _OPERATIONS.items() for name in names.split()}

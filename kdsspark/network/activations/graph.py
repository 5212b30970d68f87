"""A model rewritten so that its outputs are the pooled activations of the wanted layers.

The model is traced with ``torch.fx``. A pooling call follows each wanted node directly, and nodes
that no wanted layer needs (dropout, the last classifier layer) are dropped. This has three
advantages over forward hooks: pooling runs before any later node, so that an in-place ReLU cannot
overwrite what is read; the large activation is freed as soon as the next layer has used it; and
the result is one plain graph for ``torch.compile``.

``activation`` decides where a module is read:

===========  ==================================================  ==========================
activation   named module                                        is read
===========  ==================================================  ==========================
post_relu    convolution, batch-norm or linear, followed in its  after that ReLU
             own ``nn.Sequential`` by a ReLU (with a batch-norm
             between them or not)
pre_relu     ReLU                                                before it
pre_relu     convolution or linear followed in its own           after the batch-norm
             ``nn.Sequential`` by a batch-norm
either       any other (Fire module, residual block, ...)        at its output, as it is
===========  ==================================================  ==========================

ReLU6 counts as a ReLU. A module that is called more than once is read at its last call.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import torch
from torch import fx, nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations.pooling import pool
from kdsspark.network.activations.tokens import with_tokens
from kdsspark.network.spec import Kind, Layer, Tokens

_RELU: Final = (nn.ReLU, nn.ReLU6)
_BATCH_NORM: Final = (nn.BatchNorm1d, nn.BatchNorm2d)
_WEIGHTED: Final = (nn.Conv2d, nn.Linear)
_VIEWS: Final = 2  # of the pass that determines the shapes


class _Tracer(fx.Tracer):
    """Remembers which node holds the output of each module that is called."""

    proxy_buffer_attributes = True  # else buffers (Swin's index tables) become constants

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}

    def call_module(
        self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        output = super().call_module(m, forward, args, kwargs)
        if isinstance(output, fx.Proxy):
            self.outputs[self.path_of_module(m)] = output.node
        return output


def needs(model: nn.Module, table: Mapping[str, str], activation: str) -> dict[str, set[str]]:
    """{layer name: names of the tensors of the model's state dict that the layer depends on}.

    ``table`` is {layer name: module path}. ``num_batches_tracked`` is left out, since only training
    uses it. Raises ConfigError if a path names no module of the model, or a module that returns no
    tensor on the way to the model's output.
    """
    _, nodes = _trace(model, table, activation)
    keys = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    return {layer: _tensors_of(ancestors(node), keys) for layer, node in nodes.items()}


def inspect(
    model: nn.Module,
    table: Mapping[str, str],
    activation: str,
    crop: int,
    tokens: Tokens = "mean",
) -> tuple[Layer, ...]:
    """Describe each layer of ``table`` for crops of ``crop`` pixels.

    ``table`` is {layer name: module path}, ``model`` is on the meta device. Raises ConfigError like
    :func:`needs`, if an activation has a form that is not supported (the message lists those that
    are), and if ``tokens`` asks for a class token that a layer of tokens does not have; torch's own
    RuntimeError or AssertionError if the model cannot take such crops.
    """
    raw, nodes = unpooled(model, table, activation)
    shapes = _shapes(raw, crop)
    try:
        larger = _shapes(raw, 2 * crop)
    except (RuntimeError, AssertionError):  # vision transformers take one size only
        larger = shapes
    modules = dict(model.named_modules())
    layers = []
    for (name, node), shape, other in zip(nodes.items(), shapes, larger, strict=True):
        axis = _unit_axis(shape, other)
        if axis is None:
            raise ConfigError(
                f"layers.{name}: must return [views, units], [views, tokens, units] or square "
                f"maps [views, units, height, width], got {table[name]!r} with {list(shape)}"
            )
        kind = _kind(shape, node, modules)
        layers.append(
            with_tokens(Layer(name, table[name], shape[axis], kind, axis), model, shape, tokens)
        )
    if tokens != "mean" and all(layer.tokens == "mean" for layer in layers):
        raise ConfigError(f"tokens: must be mean where no layer has a class token, got {tokens!r}")
    return tuple(layers)


def unpooled(
    model: nn.Module, table: Mapping[str, str], activation: str
) -> tuple[fx.GraphModule, dict[str, fx.Node]]:
    """The model up to the layers of ``table``, and the node at which each layer is read.

    Its outputs are for their shapes only: an in-place ReLU may overwrite their values. Raises
    ConfigError like :func:`needs`.
    """
    graph, nodes = _trace(model, table, activation)
    _set_outputs(graph, list(nodes.values()))
    return fx.GraphModule(model, graph), nodes


def read(
    model: nn.Module, layers: Sequence[Layer], activation: str, pooling: str
) -> fx.GraphModule:
    """A module that maps crops [views, channels, height, width] to the layers' features.

    It returns one new float32 tensor per layer, [views, units] or as :func:`pool` makes it. It
    shares the tensors of ``model``, which must be in evaluation mode, and holds only those that the
    layers depend on, under their names in the model's state dict.
    """
    graph, nodes = _trace(model, {layer.name: layer.module for layer in layers}, activation)
    outputs = []
    for layer in layers:
        node = nodes[layer.name]
        with graph.inserting_after(node):
            how = (layer.axis, pooling, layer.prefix, layer.tokens)
            outputs.append(graph.call_function(pool, (node, *how)))
    _set_outputs(graph, outputs)
    reader = fx.GraphModule(model, graph)
    for module in reader.modules():
        if isinstance(module, _BATCH_NORM):
            module.num_batches_tracked = None  # for training only, and often absent from files
    return reader


def _trace(
    model: nn.Module, table: Mapping[str, str], activation: str
) -> tuple[fx.Graph, dict[str, fx.Node]]:
    """The graph of the model, and the node at which each layer is read."""
    tracer = _Tracer()
    graph = tracer.trace(model)
    modules = dict(model.named_modules())
    nodes = {}
    for layer, path in table.items():
        if not path or path not in modules:
            close = ", ".join(difflib.get_close_matches(path, modules)) or "none is close"
            raise ConfigError(
                f"layers.{layer}: must be a module path of {type(model).__name__}, "
                f"got {path!r} ({close})"
            )
        where = _read_at(modules, path, activation)
        if where not in tracer.outputs:
            raise ConfigError(
                f"layers.{layer}: must be a module that returns one tensor on the way to the "
                f"network's output, got {path!r}"
            )
        node = tracer.outputs[where]
        before = activation == "pre_relu" and isinstance(modules[path], _RELU)
        nodes[layer] = node.all_input_nodes[0] if before else node
    return graph, nodes


def _read_at(modules: Mapping[str, nn.Module], path: str, activation: str) -> str:
    """The path of the module whose output is read for ``path``: its own, or one that follows."""
    following = _following(modules, path)
    normalised = following[0] if following and _is(modules, following[0], _BATCH_NORM) else None
    if activation == "pre_relu":
        return normalised if normalised and _is(modules, path, _WEIGHTED) else path
    rest = following[1:] if normalised else following
    rectified = rest[0] if rest and _is(modules, rest[0], _RELU) else None
    return rectified if rectified and _is(modules, path, _WEIGHTED + _BATCH_NORM) else path


def _following(modules: Mapping[str, nn.Module], path: str) -> list[str]:
    """The paths of the modules after ``path`` in its own ``nn.Sequential``."""
    parent, _, child = path.rpartition(".")
    container = modules[parent]
    if not isinstance(container, nn.Sequential):
        return []
    siblings = [name for name, _ in container.named_children()]
    return [f"{parent}.{name}".lstrip(".") for name in siblings[siblings.index(child) + 1 :]]


def _is(modules: Mapping[str, nn.Module], path: str, kinds: tuple[type, ...]) -> bool:
    return isinstance(modules[path], kinds)


def ancestors(node: fx.Node, start: fx.Node | None = None) -> set[fx.Node]:
    """``node`` and all nodes that it depends on, except those in front of ``start``."""
    found: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes if node is not start else ())
    return found


def _tensors_of(nodes: set[fx.Node], keys: Sequence[str]) -> set[str]:
    """The ``keys`` that name a tensor which ``nodes`` use, itself or as part of a module."""
    used = {node.target for node in nodes if node.op in ("call_module", "get_attr")}
    return {
        key
        for key in keys
        if any(prefix in used for prefix in accumulate(key.split("."), "{}.{}".format))
    }


def _set_outputs(graph: fx.Graph, outputs: Sequence[fx.Node]) -> None:
    """Make ``outputs`` the graph's outputs, and drop every node that no output depends on.

    torch.fx's own removal of dead code would keep assertions, on which torch.compile fails.
    """
    next(iter(reversed(graph.nodes))).args = (tuple(outputs),)
    for node in reversed(graph.nodes):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


def _shapes(raw: fx.GraphModule, crop: int) -> list[torch.Size]:
    # `forward`, because calling the module would print a traceback if a size does not fit.
    outputs = raw.forward(torch.empty(_VIEWS, 3, crop, crop, device="meta"))
    return [getattr(output, "shape", torch.Size()) for output in outputs]


def _unit_axis(shape: Sequence[int], larger: Sequence[int]) -> int | None:
    """The axis that numbers the units, given the shapes for an image and for one twice as large.

    2 axes: the second. 3 axes [views, tokens, units]: the last. 4 axes: channels do not grow with
    the image, the axes of space do, which distinguishes [views, height, width, channels] (Swin,
    ConvNeXt) from the usual [views, channels, height, width]. None for any other form.
    """
    if not 2 <= len(shape) <= 4 or shape[0] != _VIEWS:
        return None
    if len(shape) < 4:
        return len(shape) - 1
    constant = [axis for axis in (1, 2, 3) if shape[axis] == larger[axis]]
    axis = constant[-1] if constant and 1 not in constant else 1
    height, width = (shape[other] for other in (1, 2, 3) if other != axis)
    return axis if height == width else None


def _kind(shape: Sequence[int], node: fx.Node, modules: Mapping[str, nn.Module]) -> Kind:
    if len(shape) == 4:
        return "conv"
    while node.op == "call_module" and _is(modules, str(node.target), _RELU + _BATCH_NORM):
        node = node.all_input_nodes[0]
    linear = node.op == "call_module" and _is(modules, str(node.target), (nn.Linear,))
    return "fc" if len(shape) == 2 and linear else "other"

"""Layers read in a graph that torch.fx has traced.

A pooling call follows each wanted node directly, and nodes that no wanted layer needs (dropout, the
last classifier layer) are dropped. This has three advantages over forward hooks: the large
activation is freed as soon as the next layer has used it; branches that no layer needs are not
computed; and the result is one plain graph for ``torch.compile``. Pooling runs before any later
node, so that an in-place ReLU cannot overwrite what is read.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import torch
from torch import fx, nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations.hooks import VIEWS, first
from kdsspark.network.activations.points import BATCH_NORM, RELU, points
from kdsspark.network.activations.pooling import pool
from kdsspark.network.spec import Kind, Layer


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
        if isinstance(found := first(output), fx.Proxy):
            self.outputs[self.path_of_module(m)] = found.node
        return output


def trace(model: nn.Module) -> _Tracer | None:
    """The traced model; None where torch.fx cannot trace it, because its code looks at values."""
    tracer = _Tracer()
    try:
        tracer.trace(model)
    except Exception:  # a model's own code may raise anything when it meets a proxy
        return None
    constants = (n for n in tracer.graph.nodes if n.op == "get_attr" and _CONSTANT in str(n.target))
    return None if any(constants) else tracer


_CONSTANT: Final = "_tensor_constant"  # a tensor of no module, which no file of weights would have


def read_at(
    tracer: _Tracer, model: nn.Module, table: Mapping[str, str], activation: str
) -> dict[str, fx.Node]:
    """The node at which each layer of {layer name: module path} is read.

    Raises ConfigError if a path names no module of the model, or a module that returns no tensor on
    the way to the model's output.
    """
    nodes = {}
    for layer, (path, before) in points(model, table, activation).items():
        if path not in tracer.outputs:
            raise ConfigError(
                f"layers.{layer}: must be a module that returns one tensor on the way to the "
                f"network's output, got {table[layer]!r}"
            )
        node = tracer.outputs[path]
        if isinstance(model.get_submodule(path), nn.MultiheadAttention):  # returns two tensors
            firsts = [user for user in node.users if user.target is operator.getitem]
            node = next((user for user in firsts if user.args[1] == 0), node)
        nodes[layer] = node.all_input_nodes[0] if before else node
    return nodes


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


def tensors_of(nodes: set[fx.Node], keys: Sequence[str]) -> set[str]:
    """The ``keys`` that name a tensor which ``nodes`` use, itself or as part of a module."""
    used = {node.target for node in nodes if node.op in ("call_module", "get_attr")}
    return {
        key
        for key in keys
        if any(prefix in used for prefix in accumulate(key.split("."), "{}.{}".format))
    }


def up_to(tracer: _Tracer, model: nn.Module, outputs: Sequence[fx.Node]) -> fx.GraphModule:
    """The model with ``outputs`` alone.

    Its outputs are for their shapes only: an in-place ReLU may overwrite their values.
    """
    _set_outputs(tracer.graph, outputs)
    return fx.GraphModule(model, tracer.graph)


def pooled(
    tracer: _Tracer, model: nn.Module, nodes: Sequence[fx.Node], layers: Sequence[Layer], how: str
) -> fx.GraphModule:
    """The model with the pooled activations of ``layers``, which are read at ``nodes``."""
    graph, outputs = tracer.graph, []
    for node, layer in zip(nodes, layers, strict=True):
        with graph.inserting_after(node):
            settings = (layer.axis, how, layer.prefix, layer.tokens)
            outputs.append(graph.call_function(pool, (node, *settings)))
    return up_to(tracer, model, outputs)


def _set_outputs(graph: fx.Graph, outputs: Sequence[fx.Node]) -> None:
    """Make ``outputs`` the graph's outputs, and drop every node that no output depends on.

    torch.fx's own removal of dead code would keep assertions, on which torch.compile fails.
    """
    next(iter(reversed(graph.nodes))).args = (tuple(outputs),)
    for node in reversed(graph.nodes):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


def shapes(raw: fx.GraphModule, crop: int) -> list[torch.Size]:
    """Those of the outputs, for two crops."""
    # `forward`, because calling the module would print a traceback if a size does not fit.
    outputs = raw.forward(torch.empty(VIEWS, 3, crop, crop, device="meta"))
    return [getattr(output, "shape", torch.Size()) for output in outputs]


def kind(shape: Sequence[int], node: fx.Node, model: nn.Module) -> Kind:
    """By the operation at ``node``, in front of ReLUs and batch-norms."""
    modules = dict(model.named_modules())
    if len(shape) == 4:
        return "conv"
    while node.op == "call_module" and isinstance(modules[str(node.target)], RELU + BATCH_NORM):
        node = node.all_input_nodes[0]
    linear = node.op == "call_module" and isinstance(modules[str(node.target)], nn.Linear)
    return "fc" if len(shape) == 2 and linear else "other"

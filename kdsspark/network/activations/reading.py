"""Which layers a network has to read, and the network rewritten to do so.

Where torch.fx can trace a network, its graph is cut (:mod:`.graph`); else forward hooks read it
(:mod:`.hooks`). Both give the same numbers to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import fx, nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations import graph, hooks
from kdsspark.network.activations.hooks import VIEWS
from kdsspark.network.activations.points import BATCH_NORM
from kdsspark.network.activations.pooling import pool
from kdsspark.network.activations.tokens import with_tokens
from kdsspark.network.spec import Kind, Layer, Tokens


def needs(
    model: nn.Module, table: Mapping[str, str], activation: str, crop: int
) -> dict[str, set[str]]:
    """{layer name: names of the tensors of the model's state dict that the layer depends on}.

    ``table`` is {layer name: module path}. ``num_batches_tracked`` is left out, since only training
    uses it. With hooks, all that is computed before the layer counts. Raises ConfigError if a path
    names no module of the model, or a module that returns no tensor on the way to the output.
    """
    keys = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    if tracer := graph.trace(model):
        nodes = graph.read_at(tracer, model, table, activation)
        return {name: graph.tensors_of(graph.ancestors(n), keys) for name, n in nodes.items()}
    calls = hooks.survey(model, crop)
    return {
        name: hooks.tensors_until(model, calls, layer.ended) & set(keys)
        for name, layer in hooks.wanted(model, table, activation, calls).items()
    }


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
    layers = []
    for name, (shape, larger, kind) in _forms(model, table, activation, crop).items():
        axis = unit_axis(shape, larger)
        if axis is None:
            raise ConfigError(
                f"layers.{name}: must return [views, units], [views, tokens, units] or square "
                f"maps [views, units, height, width], got {table[name]!r} with {list(shape)}"
            )
        layer = Layer(name, table[name], shape[axis], kind, axis)
        layers.append(with_tokens(layer, model, shape, tokens))
    if tokens != "mean" and all(layer.tokens == "mean" for layer in layers):
        raise ConfigError(f"tokens: must be mean where no layer has a class token, got {tokens!r}")
    return tuple(layers)


def unpooled(
    model: nn.Module, table: Mapping[str, str], activation: str
) -> tuple[fx.GraphModule, dict[str, fx.Node]] | None:
    """The model up to the layers of ``table``, and the node at which each layer is read.

    None where torch.fx cannot trace the model. Its outputs are for their shapes only: an in-place
    ReLU may overwrite their values. Raises ConfigError like :func:`needs`.
    """
    tracer = graph.trace(model)
    if tracer is None:
        return None
    nodes = graph.read_at(tracer, model, table, activation)
    return graph.up_to(tracer, model, list(nodes.values())), nodes


def read(
    model: nn.Module, layers: Sequence[Layer], activation: str, pooling: str, crop: int
) -> nn.Module:
    """A module that maps crops [views, channels, height, width] to the layers' features.

    It returns one new float32 tensor per layer, [views, units] or as :func:`pool` makes it. It
    shares the tensors of ``model``, which must be in evaluation mode, and holds only those that the
    layers depend on, under their names in the model's state dict.
    """
    table = {layer.name: layer.module for layer in layers}
    reader: nn.Module
    if tracer := graph.trace(model):
        nodes = graph.read_at(tracer, model, table, activation).values()
        reader = graph.pooled(tracer, model, list(nodes), layers, pooling)
    else:
        calls = hooks.survey(model, crop)
        found = list(hooks.wanted(model, table, activation, calls).values())
        settings = ((layer.axis, pooling, layer.prefix, layer.tokens) for layer in layers)
        reduce = [partial(_pooled, how) for how in settings]
        reader = hooks.read(model, found, reduce, calls)
    for module in reader.modules():
        if isinstance(module, BATCH_NORM):
            module.num_batches_tracked = None  # for training only, and often absent from files
    return reader


def _pooled(how: tuple[int, str, int, Tokens], activation: torch.Tensor) -> torch.Tensor:
    return pool(activation, *how)


class _Form(NamedTuple):
    """What an activation is, for crops of one size and of twice that size."""

    shape: Sequence[int]
    larger: Sequence[int]
    kind: Kind


def _forms(
    model: nn.Module, table: Mapping[str, str], activation: str, crop: int
) -> dict[str, _Form]:
    if tracer := graph.trace(model):
        nodes = graph.read_at(tracer, model, table, activation)
        raw = graph.up_to(tracer, model, list(nodes.values()))
        shapes = graph.shapes(raw, crop)
        try:
            larger = graph.shapes(raw, 2 * crop)
        except (RuntimeError, AssertionError):  # vision transformers take one size only
            larger = shapes
        kinds = [graph.kind(s, n, model) for s, n in zip(shapes, nodes.values(), strict=True)]
        forms = zip(shapes, larger, kinds, strict=True)
        return {name: _Form(*form) for name, form in zip(nodes, forms, strict=True)}
    found = hooks.wanted(model, table, activation, hooks.survey(model, crop))
    try:
        twice = hooks.wanted(model, table, activation, hooks.survey(model, 2 * crop))
    except (RuntimeError, AssertionError, ValueError):
        twice = found
    return {name: _Form(own.shape, twice[name].shape, own.kind) for name, own in found.items()}


def unit_axis(shape: Sequence[int], larger: Sequence[int]) -> int | None:
    """The axis that numbers the units, given the shapes for an image and for one twice as large.

    2 axes: the second. 3 axes [views, tokens, units]: the last. 4 axes: channels do not grow with
    the image, the axes of space do, which distinguishes [views, height, width, channels] (Swin,
    ConvNeXt) from the usual [views, channels, height, width]. None for any other form.
    """
    if not 2 <= len(shape) <= 4 or shape[0] != VIEWS:
        return None
    if len(shape) < 4:
        return len(shape) - 1
    constant = [axis for axis in (1, 2, 3) if shape[axis] == larger[axis]]
    if len(constant) == 3:  # a network for one size only; its maps are square
        constant = [3] if shape[1] == shape[2] != shape[3] else [1]
    axis = constant[-1] if constant and 1 not in constant else 1
    height, width = (shape[other] for other in (1, 2, 3) if other != axis)
    return axis if height == width else None

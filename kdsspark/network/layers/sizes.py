"""How large the layers of a network are: the numbers of the paper's table 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from kdsspark.network import activations
from kdsspark.network.activations.points import module_of
from kdsspark.network.architectures import skeleton
from kdsspark.network.map_shape import MapShape
from kdsspark.network.spec import NetworkSpec


class LayerSize(NamedTuple):
    """A layer: the values that it has for one crop, and its learnable weights and biases."""

    neurons: int
    parameters: int


def layer_sizes(spec: NetworkSpec) -> dict[str, LayerSize]:
    """The size of each layer, from shapes alone.

    A layer that is a module of several (a fire module, a block) has the parameters of all of them.
    Nothing for properties of the pixels, which are no network's.
    """
    if spec.is_pixels:
        return {}
    model, shapes = _shapes(spec)
    return {
        layer.name: LayerSize(
            math.prod(shapes[layer.name][1:]),
            sum(p.numel() for p in model.get_submodule(module_of(layer.module)).parameters()),
        )
        for layer in spec.layers
    }


def map_shapes(spec: NetworkSpec) -> dict[str, MapShape]:
    """The maps of each layer for one crop; of a network, not of properties of the pixels."""
    _, shapes = _shapes(spec)
    found = {}
    for layer in spec.layers:
        _, *own = shapes[layer.name]
        side = own[0 if layer.axis > 1 else 1] if len(own) == 3 else 0  # maps are square
        found[layer.name] = MapShape(layer.units, side)
    return found


def _shapes(spec: NetworkSpec) -> tuple[nn.Module, dict[str, Sequence[int]]]:
    """The network without values, and the shape [views, ...] of each layer for one crop."""
    crop = spec.preprocessing.crop
    model = skeleton(spec.architecture, crop, spec.settings)
    modules = {layer.name: layer.module for layer in spec.layers}
    return model, activations.shapes(model, modules, spec.activation, crop)

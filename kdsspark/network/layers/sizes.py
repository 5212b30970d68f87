"""How large the layers of a network are: the numbers of the paper's table 1."""

from __future__ import annotations

import math
from typing import NamedTuple

from kdsspark.network import activations
from kdsspark.network.activations.points import module_of
from kdsspark.network.architectures import skeleton
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
    crop = spec.preprocessing.crop
    model = skeleton(spec.architecture, crop, spec.settings)
    modules = {layer.name: layer.module for layer in spec.layers}
    shapes = activations.shapes(model, modules, spec.activation, crop)
    return {
        name: LayerSize(
            math.prod(shapes[name][1:]),
            sum(p.numel() for p in model.get_submodule(module_of(module)).parameters()),
        )
        for name, module in modules.items()
    }

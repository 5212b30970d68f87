"""What excited a unit, projected back to the pixels of a crop (Zeiler & Fergus 2014, section 2.1).

The deconvnet sets all other activations of the layer to zero. Then it goes down to the pixels: it
unpools to the recorded place of each maximum, rectifies, and applies the transposed filters without
bias. This is back-propagation of the activation, in which every ReLU passes relu(gradient) on
instead of following its own rule. In that form it also holds for fire modules, residual blocks and
pools that overlap, where a place may receive several values, which add up.

ReLU6 counts as a ReLU. All other operations, such as batch-norm, average pooling and smooth
activation functions, pass on their plain gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from kdsspark.network import activations, crops
from kdsspark.network.activations.hooks import Hooked
from kdsspark.network.extractor import held, loaded
from kdsspark.network.spec import NetworkSpec

# How often a function or module rectifies at most; `relu_` is `relu` in place.
_HIGHEST: Final = {"ReLU": torch.inf, "relu": torch.inf, "ReLU6": 6.0, "relu6": 6.0}
# Crops of a pass, which keeps all activations of the network: 120 MB a crop for VGG19.
_CPU_CROPS: Final = 4
_GPU_CROPS: Final = 16


def cached_projector(spec: NetworkSpec, weights_path: str | Path, device: str = "cpu") -> Projector:
    """:meth:`Projector.load`, kept until another network is needed; safe from threads."""
    key = (Projector, spec.fingerprint, device)
    return held(key, lambda: Projector.load(spec, weights_path, device))


class Projector:
    """A network ready to project activations of its units to pixels; runs on executors.

    It computes in float32 whatever the precision of the features is, in evaluation mode.
    """

    def __init__(self, spec: NetworkSpec, network: nn.Module, device: str = "cpu") -> None:
        self.spec = spec
        self.device = device
        self._network = network
        self._layers: dict[str, Callable[[Tensor], Tensor]] = {}
        if isinstance(network, Hooked):
            _rectify_backwards(network)

    @classmethod
    def load(cls, spec: NetworkSpec, weights_path: str | Path, device: str = "cpu") -> Projector:
        """Build the network of ``spec`` around the tensors that ``weights.prepare`` wrote.

        Raises WeightsError if the file cannot be read or holds other tensors than the network
        needs.
        """
        return cls(spec, loaded(spec, weights_path, device), device)

    def __call__(
        self,
        images: Sequence[NDArray[np.uint8]],
        layer: str,
        units: Sequence[int],
        places: Sequence[tuple[int, int]] | None,
    ) -> NDArray[np.float32]:
        """Float32 [crops, 3, size, size]: each crop's projection of one activation of ``layer``.

        ``images`` are the crops, uint8 RGB [size, size, 3]. Each has its own unit, and its own
        place (row, column) in the unit's map, as the pooling ``peak`` gives it; for tokens the row
        is 0. None where the layer has no map. The values belong to the normalised pixels; their
        channels are red, green, blue, whatever the order of the network is. Where the activation
        is 0, so is the projection.

        Raises ValueError for a layer, unit or place that the network does not have, for a crop of
        another size, and for unequal numbers of crops, units and places.
        """
        chosen = units if places is None else places
        if not len(images) == len(units) == len(chosen):
            raise ValueError(
                "crops, units and places must be equally many, "
                f"got {len(images)}, {len(units)} and {len(chosen)}"
            )
        size, step = self.spec.preprocessing.crop, self._crops_of_a_pass
        found = [np.empty((0, 3, size, size), np.float32)]
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            pixels = self._inputs(images[part])
            where = None if places is None else places[part]
            found.append(self._pass(pixels, layer, units[part], where).cpu().numpy())
        return np.concatenate(found)

    @property
    def _crops_of_a_pass(self) -> int:
        return _CPU_CROPS if self.device == "cpu" else _GPU_CROPS

    def _inputs(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """The crops as the network takes them, on the device."""
        size = self.spec.preprocessing.crop
        for image in images:
            if image.shape != (size, size, 3):
                raise ValueError(f"crop must be {size} x {size} x 3, got {image.shape}")
        pixels = torch.from_numpy(np.stack(images)).to(self.device)
        return crops.normalise(pixels.permute(0, 3, 1, 2), self.spec.preprocessing)

    @torch.enable_grad()
    def _pass(
        self,
        pixels: Tensor,
        layer: str,
        units: Sequence[int],
        places: Sequence[tuple[int, int]] | None,
    ) -> Tensor:
        pixels.requires_grad_()
        known = next((known for known in self.spec.layers if known.name == layer), None)
        if known is None:
            raise ValueError(f"layer must be one of {self.spec.name}, got {layer!r}")
        maps = self._up_to(layer)(pixels).movedim(known.axis, 1)
        maps = maps.unsqueeze(2) if maps.ndim == 3 else maps  # tokens are a single row
        if known.tokens == "cls+mean":
            maps = torch.cat([maps, maps], 1)
        seeds = maps[_index(maps, layer, units, places)]
        (projection,) = torch.autograd.grad(seeds, pixels, seeds.detach())
        return projection.flip(1) if self.spec.preprocessing.channels == "bgr" else projection

    def _up_to(self, layer: str) -> Callable[[Tensor], Tensor]:
        """The network up to where ``layer`` is read."""
        if layer not in self._layers:
            position = [known.name for known in self.spec.layers].index(layer)
            if isinstance(self._network, Hooked):
                self._layers[layer] = partial(self._network.activation, position)
            else:
                assert isinstance(self._network, fx.GraphModule)
                (outputs,) = next(iter(reversed(self._network.graph.nodes))).args
                pooled = outputs[position]
                self._layers[layer] = _deconvnet(self._network, pooled.all_input_nodes[0])
        return self._layers[layer]


def _index(
    maps: Tensor, layer: str, units: Sequence[int], places: Sequence[tuple[int, int]] | None
) -> tuple[Sequence[int], ...]:
    """Where the activations of ``units`` lie in maps [crops, units], or [.., rows, columns]."""
    index = range(len(units)), units, *zip(*places or (), strict=True)
    if len(index) != maps.ndim or any(
        not 0 <= i < n for axis, n in zip(index, maps.shape, strict=True) for i in axis
    ):
        raise ValueError(
            f"units and places must lie in {layer}, {list(maps.shape[1:])}, "
            f"got {units} and {places}"
        )
    return index


def _deconvnet(network: fx.GraphModule, layer: fx.Node) -> fx.GraphModule:
    """``network`` up to ``layer``, with its ReLUs replaced; the tensors are shared."""
    wanted = activations.ancestors(layer)
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in network.graph.nodes:
        if node not in wanted:
            continue
        highest = _HIGHEST.get(_operation(network, node))
        if highest is None:
            copies[node] = graph.node_copy(node, copies.__getitem__)
        else:
            before = copies[node.all_input_nodes[0]]
            copies[node] = graph.call_function(_rectified, (before, highest))
    graph.output(copies[layer])
    return fx.GraphModule(network, graph)


def _rectify_backwards(network: Hooked) -> None:
    """Replace what ReLUs compute; the hooks on them stay."""
    for module in network.modules():
        highest = _HIGHEST.get(type(module).__name__)
        if highest is not None:
            module.forward = partial(_rectified, highest=highest)


def _operation(network: fx.GraphModule, node: fx.Node) -> str:
    """The class of the module that ``node`` calls, or the name of the function or method."""
    target = type(network.get_submodule(str(node.target))) if node.op == "call_module" else None
    name = target or node.target
    return str(getattr(name, "__name__", name)).rstrip("_")


class _Rectify(torch.autograd.Function):
    """A ReLU, or ReLU6, that rectifies also on the way back."""

    @staticmethod
    def forward(_: Any, maps: Tensor, highest: float) -> Tensor:
        return maps.clamp(0, highest)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.clamp(min=0), None


def _rectified(maps: Tensor, highest: float) -> Tensor:
    """What stands for a ReLU in the graph; never in place."""
    rectified: Tensor = _Rectify.apply(maps, highest)
    return rectified

"""Convolution, bias and ReLU in one call of cuDNN, for networks on GPUs.

Apart, they are three kernels, and two of them only move maps through the GPU's memory. The features
of VGG16 are the same to the last bit (``benchmarks/gpu.py``, part a).
"""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, fx, nn


class ConvolutionReLU(nn.Module):
    """A convolution and the ReLU behind it; computes on GPUs only."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, maps: Tensor) -> Tensor:
        """[views, channels, height, width] -> the same, rectified."""
        c = self.convolution
        assert not isinstance(c.padding, str)
        return torch.cudnn_convolution_relu(
            maps, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups
        )


def fuse(network: fx.GraphModule) -> None:
    """Fuse each convolution of ``network`` with its ReLU, if nothing else uses its output."""
    modules = dict(network.named_modules())
    for node in network.graph.nodes:
        if type(_module(node, modules)) is not nn.ReLU:
            continue
        before = node.all_input_nodes[0]
        convolution = _module(before, modules)
        if _is_plain(convolution) and len(before.users) == 1:
            node.target = f"{before.target}_relu"
            node.args = before.args
            network.add_submodule(node.target, ConvolutionReLU(convolution))
            network.graph.erase_node(before)
    network.delete_all_unused_submodules()
    network.recompile()


def _module(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules[str(node.target)] if node.op == "call_module" else None


def _is_plain(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
    """Whether it is a convolution that pads with zeros, by numbers: what cuDNN's call can do."""
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )

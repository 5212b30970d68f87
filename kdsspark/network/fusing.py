"""Convolution, bias and ReLU in one call, of cuDNN on GPUs and of oneDNN on CPUs.

Apart, the ReLU only moves maps through memory once more. The features of VGG16 are the same to the
last bit on both (``benchmarks/gpu.py``, part a; ``tests/network/test_fusing.py``).
"""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, fx, nn


class ConvolutionReLU(nn.Module):
    """A convolution and the ReLU behind it."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, maps: Tensor) -> Tensor:
        """[views, channels, height, width] -> the same, rectified."""
        c = self.convolution
        assert not isinstance(c.padding, str)
        if maps.is_cuda:
            return torch.cudnn_convolution_relu(
                maps, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups
            )
        lengths = [list(each) for each in (c.padding, c.stride, c.dilation)]
        fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
            maps, c.weight, c.bias, *lengths, c.groups, "relu", [], ""
        )
        return fused


def fuse(network: fx.GraphModule) -> None:
    """Fuse each convolution of ``network`` with its ReLU, if nothing else uses its output.

    On a CPU, only in precisions that its oneDNN computes; else the network stays as it is.
    """
    weights = next(network.parameters(), None)
    if weights is None or not (weights.is_cuda or _has_onednn(weights.dtype)):
        return
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


def _has_onednn(precision: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if precision == torch.bfloat16:
        supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return supported
    return precision == torch.float32


def _module(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules[str(node.target)] if node.op == "call_module" else None


def _is_plain(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
    """Whether it is a convolution that pads with zeros, by numbers: what both calls can do."""
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )

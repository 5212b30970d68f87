from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision import models

from kdsspark.network import activations, fusing


def vgg() -> nn.Module:
    """The convolutions of VGG11: convolution 0, ReLU 1, pooling 2, convolution 3, ReLU 4, ..."""
    made: nn.Module = models.vgg.make_layers(models.vgg.cfgs["A"])
    return made


def odd() -> nn.Module:
    """The calls can compute the first convolution and the first call of the last one."""
    twice = nn.Conv2d(4, 4, 3, padding=1)
    steps: list[nn.Module] = [
        *(nn.Conv2d(3, 4, 3, stride=2, padding=1, dilation=2, bias=False), nn.ReLU()),
        *(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU()),
        *(nn.Conv2d(4, 4, 3, padding="same"), nn.ReLU()),
        *(nn.Conv2d(4, 4, 3, groups=2), nn.ReLU6()),
        *(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(twice, nn.ReLU(inplace=True), twice),
    ]
    return nn.Sequential(*steps)


# Per case: convolutions with a ReLU that are fused, and convolutions that stay.
CASES: dict[str, tuple[Any, dict[str, str], str, int, int]] = {
    "taps behind ReLUs": (vgg, {"a": "0", "b": "3"}, "post_relu", 2, 0),
    "a tap before a ReLU": (vgg, {"a": "1", "b": "6"}, "pre_relu", 1, 2),
    "ReLUs in Fire modules": (
        models.squeezenet1_1,
        {"a": "features.0", "b": "features.3"},
        "post_relu",
        4,  # the first, and a Fire module's three
        0,
    ),
    "batch-norm between": (models.resnet18, {"a": "layer1"}, "post_relu", 0, 5),
    "other options": (odd, {"last": "11"}, "pre_relu", 2, 5),
}


PRECISIONS = [
    torch.float32,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(
            not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="a CPU without bfloat16"
        ),
    ),
]


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_convolutions_are_fused_where_only_a_relu_follows(
    case: str, precision: torch.dtype
) -> None:
    network, n_fused, n_left = reader(case)
    network.to(precision).to(memory_format=torch.channels_last)
    pixels = torch.randn(3, 3, 64, 64).to(precision, memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(pixels)
        fusing.fuse(network)
        found = network(pixels)
    calls = [node.target for node in network.graph.nodes if node.op == "call_module"]
    modules = [network.get_submodule(call) for call in calls]
    assert sum(isinstance(m, fusing.ConvolutionReLU) for m in modules) == n_fused
    assert sum(isinstance(m, nn.Conv2d) for m in modules) == n_left
    for values, unfused in zip(found, expected, strict=True):
        assert unfused.std() > 0
        assert torch.equal(values, unfused)


def test_networks_in_a_precision_that_onednn_lacks_stay_as_they_are() -> None:
    network, _, _ = reader("taps behind ReLUs")
    fusing.fuse(network.double())
    assert not any(isinstance(m, fusing.ConvolutionReLU) for m in network.modules())


def test_gpus_take_the_call_of_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(maps: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
        return F.conv2d(maps, weight, bias, *options).clamp(min=0)

    class OnGPU(Tensor):
        is_cuda = True  # type: ignore[assignment]

    monkeypatch.setattr(torch, "cudnn_convolution_relu", stand_in)
    convolution = nn.Conv2d(3, 4, 3, stride=2, padding=1, dilation=2, bias=False)
    maps = torch.randn(2, 3, 16, 16)
    found = fusing.ConvolutionReLU(convolution)(maps.as_subclass(OnGPU))
    assert torch.equal(found.as_subclass(Tensor), convolution(maps).relu())


def reader(case: str) -> tuple[Any, int, int]:
    """The network of a case, and how many of its convolutions are fused and how many stay."""
    make, table, activation, n_fused, n_left = CASES[case]
    torch.manual_seed(0)
    model = make().eval()
    layers = activations.inspect(copy.deepcopy(model).to("meta"), table, activation, 64)
    return activations.read(model, layers, activation, "mean", 64), n_fused, n_left

"""Built-in and explicit tables of layers; ``test_faithfulness`` has those found by structure."""

from __future__ import annotations

import pytest
from torch import nn

from kdsspark.errors import ConfigError
from kdsspark.network.architectures import skeleton
from kdsspark.network.layers.tables import layer_table
from kdsspark.network.sources.torchvision import BUILT_IN

VGG16 = [
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
    *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3", "fc6", "fc7"),
]


@pytest.mark.parametrize(
    ("architecture", "convolutions"),
    [
        ("alexnet", 5),
        *(("vgg11", 8), ("vgg13", 10), ("vgg16", 13), ("vgg19", 16)),
        *(("vgg11_bn", 8), ("vgg13_bn", 10), ("vgg16_bn", 13), ("vgg19_bn", 16)),
    ],
)
def test_built_in_tables_are_all_convolutions_then_the_first_two_linear_layers(
    architecture: str, convolutions: int
) -> None:
    table = layer_table(architecture, None)
    modules = dict(skeleton(architecture, 224).named_modules())
    convs = [path for path, module in modules.items() if isinstance(module, nn.Conv2d)]
    linears = [path for path, module in modules.items() if isinstance(module, nn.Linear)]
    assert list(table.values()) == convs + linears[:2]
    assert list(table)[-2:] == ["fc6", "fc7"]
    assert len(table) == convolutions + 2


def test_the_names_are_those_of_the_papers() -> None:
    assert list(BUILT_IN["vgg16"]) == VGG16
    assert list(BUILT_IN["vgg16_bn"]) == VGG16
    assert set(BUILT_IN["vgg19"]) - set(VGG16) == {"conv3_4", "conv4_4", "conv5_4"}
    assert " ".join(BUILT_IN["alexnet"]) == "conv1 conv2 conv3 conv4 conv5 fc6 fc7"
    assert len(BUILT_IN) == 9


def test_explicit_layers_win_over_the_built_in_table() -> None:
    assert layer_table("vgg16", {"mine": "features.3"}) == {"mine": "features.3"}


@pytest.mark.parametrize(
    ("architecture", "layers", "message"),
    [
        ("resnet18", None, "layers: must be .* for resnet18, got None .null is for alexnet, vgg11"),
        ("vgg16", {}, "layers: must be .* got {}"),
    ],
)
def test_refuses(architecture: str, layers: dict[str, str] | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        layer_table(architecture, layers)

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import fx, nn

from kdsspark.network.activations import inspect, read
from kdsspark.network.crop_sharing import prefix
from tests.network.crop_sharing.networks import EVERY, Tiny, tiny

SIDE = 16


def reader(
    model: nn.Module, table: dict[str, str], activation: str = "post_relu"
) -> fx.GraphModule:
    layers = inspect(tiny().to("meta"), table, activation, SIDE)
    return read(model, layers, activation, "mean", SIDE)


def test_blocks_are_what_lies_in_front_of_each_halving() -> None:
    network = reader(tiny(), EVERY)
    (first, first_end), (second, second_end) = prefix.find_blocks(network)
    kinds = [[type(step.module).__name__ for step in block.steps] for block in (first, second)]
    assert kinds == [
        ["Conv2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU"],
        ["Conv2d", "ReLU", "ReLU6", "Conv2d", "ReLU"],
    ]
    assert [step.reach for step in first.steps] == [1, 0, 1, 0, 0]
    assert [step.reach for step in second.steps] == [2, 0, 0, 0, 0]
    assert (first.reach, second.reach) == (2, 2)
    # conv1, conv2 and so on are the layers 0, 1, ...; each is read behind its ReLU.
    assert [step.layers for step in first.steps] == [(), (0,), (), (), (1,)]
    assert [step.layers for step in second.steps] == [(), (2,), (), (), (3,)]
    assert (first_end.target, second_end.target) == ("f.5", "f.11")


def odd(index: int, module: nn.Module) -> Tiny:
    model = tiny()
    model.f[index] = module
    return model


@pytest.mark.parametrize(
    ("index", "module", "blocks"),
    [
        (0, nn.Conv2d(3, 4, 3, padding=1, stride=2), 0),
        (0, nn.Conv2d(3, 4, 3, padding=2, dilation=2), 0),
        (0, nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), 0),
        (0, nn.Conv2d(3, 4, 3, padding="same"), 0),
        (0, nn.Conv2d(3, 4, 3), 0),
        (4, nn.Hardswish(), 0),
        (5, nn.MaxPool2d(3, 2, padding=1), 0),
        (5, nn.MaxPool2d(2, 2, ceil_mode=True), 0),
        (5, nn.AvgPool2d(2), 0),
        (6, nn.Conv2d(5, 6, 4, padding=2), 1),
        (11, nn.MaxPool2d(3, 2, padding=1), 1),
        (11, nn.MaxPool2d(2, 2), 2),
    ],
)
def test_other_modules_end_the_blocks(index: int, module: nn.Module, blocks: int) -> None:
    assert len(prefix.find_blocks(reader(odd(index, module), {"last": "f.12"}))) == blocks


@pytest.mark.parametrize(
    ("table", "activation", "blocks", "head"),
    [
        ({"conv1": "f.0", "conv2": "f.2"}, "post_relu", 0, None),
        ({"conv1": "f.0", "conv4": "f.9"}, "post_relu", 1, False),
        ({"conv5": "f.12"}, "post_relu", 2, False),
        ({"fc7": "c.3", "conv1": "f.0"}, "post_relu", 2, True),
        ({"conv1": "f.0", "relu1": "f.1", "again": "f.0", "conv3": "f.6"}, "pre_relu", 1, False),
        ({"norm": "f.3", "fc6": "c.0"}, "pre_relu", 2, True),
        ({"pool1": "f.5", "fc6": "c.0"}, "post_relu", 1, True),
        ({"pool2": "f.11", "flat": "f.14", "drop": "c.2"}, "post_relu", 2, True),
    ],
)
def test_stretches_one_after_the_other_are_the_network(
    table: dict[str, str], activation: str, blocks: int, head: bool | None
) -> None:
    network = reader(tiny(), table, activation)
    found = prefix.find_blocks(network)
    assert len(found) == blocks
    if not found:
        return
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    features: dict[int, Any] = {}
    maps = pixels.clone()
    for block, _ in found:
        for step in block.steps:
            maps = step.module(maps)
            features |= {layer: maps.mean((2, 3)) for layer in step.layers}
        maps = nn.functional.max_pool2d(maps, 2)
    body, linear = prefix.stretches(network, found[-1][1])
    assert (linear is not None) == head
    for stage in (body, linear):
        if stage is not None:
            outputs = stage.module(maps)
            features |= dict(zip(stage.layers, outputs, strict=False))
            maps = outputs[-1]
    assert sorted(features) == list(range(len(table)))
    for layer, expected in enumerate(network(pixels)):
        assert expected.std() > 0
        torch.testing.assert_close(features[layer], expected)

"""``PATH:input``: what a module is given, by the graph and by hooks."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from kdsspark.network.activations import graph, inspect, needs, read
from kdsspark.network.architectures import initialised, resolve_settings, skeleton

CROP = 64
EQUAL = {
    "resnet18": ("layer1.1.conv1:input", "layer1.0"),
    "vgg11": ("features.3:input", "features.2"),
}


@cache
def network(architecture: str, settings: str) -> nn.Module:
    return initialised(architecture, CROP, 0, settings)


@pytest.mark.parametrize("activation", ["post_relu", "pre_relu"])
@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("architecture", EQUAL)
def test_the_input_is_what_the_module_before_returns(
    architecture: str, traced: bool, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not traced:
        monkeypatch.setattr(graph, "trace", lambda _: None)
    settings = resolve_settings(architecture)
    model = network(architecture, settings)
    empty = skeleton(architecture, CROP, settings)
    pixels = torch.randn(2, 3, CROP, CROP, generator=torch.Generator().manual_seed(0))
    found = []
    for path in EQUAL[architecture]:
        (layer,) = layers = inspect(empty, {"x": path}, activation, CROP)
        with torch.inference_mode():
            (values,) = read(model, layers, activation, "mean", CROP)(pixels)
        found.append((layer.units, layer.kind, needs(empty, {"x": path}, activation, CROP), values))
    given, returned = found
    assert given[:2] == returned[:2]
    assert torch.equal(given[3], returned[3])
    if traced:  # with hooks, all that is computed before counts
        assert given[2] == returned[2]

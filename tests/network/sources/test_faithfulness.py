"""What is read, against the library's own forward pass with plain hooks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdsspark.network.activations import graph, inspect, needs, read
from kdsspark.network.architectures import initialised, resolve_settings, skeleton
from kdsspark.network.layers.tables import TABLES, layer_table
from kdsspark.network.spec import Layer
from tests.marks import all_but

# Crop, whether torch.fx can trace it, and the units of each table's layers by their number.
NETWORKS: dict[str, tuple[int, bool, dict[str, list[int]]]] = {
    "timm/vit_tiny_patch16_224.augreg_in21k": (
        32,
        True,
        {"blocks": [192] * 12, "mlp": [768] * 12, "attention": [192] * 12, "stages": [192]},
    ),
    "timm/vit_small_patch14_reg4_dinov2": (42, True, {"blocks": [384] * 12, "mlp": [1536] * 12}),
    "timm/test_efficientnet": (64, True, {"blocks": [24, 32, 48, 64], "mlp": []}),
    "timm/test_convnext": (
        64,
        True,
        {
            "blocks": [24, 32, 32, 48, 48, 48, 48, 64, 64],
            "mlp": [96, 128, 128, 192, 192, 192, 192, 256, 256],
            "stages": [24, 32, 48, 64],
        },
    ),
    "timm/swin_tiny_patch4_window7_224": (
        112,
        True,
        {
            "stages": [96, 192, 384, 768],
            "mlp": [384] * 2 + [768] * 2 + [1536] * 6 + [3072] * 2,
            "attention": [96] * 2 + [192] * 2 + [384] * 6 + [768] * 2,
        },
    ),
    "timm/eva02_tiny_patch14_224": (28, True, {"blocks": [192] * 12, "mlp": [512] * 12}),
    "timm/gmixer_12_224": (32, True, {"blocks": [384] * 12, "mlp": [768] * 12}),
    "dinov2_swiglu": (28, False, {"blocks": [32] * 2, "mlp": [88] * 2, "attention": [32] * 2}),
    "vit": (32, False, {"blocks": [32] * 2, "mlp": [64] * 2, "attention": [32] * 2}),
    "dinov2": (42, False, {"blocks": [32] * 2, "mlp": [128] * 2, "attention": [32] * 2}),
    "clip": (32, False, {"blocks": [32] * 2, "mlp": [64] * 2, "attention": [32] * 2}),
    "resnet": (64, False, {"blocks": [8, 16, 16], "stages": [8, 16], "mlp": []}),
    "open_clip/ViT-B-32": (64, True, {"blocks": [768] * 12, "mlp": [3072] * 12}),
    "vit_b_32": (64, True, {"blocks": [768] * 12, "mlp": [3072] * 12, "attention": [768] * 12}),
    "resnet18": (64, True, {"stages": [64, 128, 256, 512], "attention": []}),
    "efficientnet_b0": (64, True, {"stages": [16, 24, 40, 112, 320]}),
}
LARGE = {
    "timm/test_convnext",
    "efficientnet_b0",
    "timm/vit_small_patch14_reg4_dinov2",
    "timm/swin_tiny_patch4_window7_224",
    "timm/eva02_tiny_patch14_224",
    "timm/gmixer_12_224",
    "vit_b_32",
}
"""They take seconds each; the others hold every table and every library."""

TOKENS_IN_FRONT = {
    "dinov2_swiglu": 1,
    "vit": 1,
    "dinov2": 5,
    "clip": 1,
    "open_clip/ViT-B-32": 1,
    "vit_b_32": 1,
}


def plain_hooks(model: nn.Module, paths: list[str], pixels: Tensor) -> dict[str, Tensor]:
    """A copy of what each module returned at last, by an ordinary forward pass."""
    copies: dict[str, Tensor] = {}

    def keep(path: str, output: Any) -> None:
        copies[path] = (output[0] if isinstance(output, tuple) else output).clone()

    handles = [
        model.get_submodule(path).register_forward_hook(lambda _, __, o, path=path: keep(path, o))
        for path in paths
        if not path.endswith(":input")
    ] + [
        model.get_submodule(path.removesuffix(":input")).register_forward_pre_hook(
            lambda _, inputs, path=path: keep(path, inputs)
        )
        for path in paths
        if path.endswith(":input")
    ]
    with torch.inference_mode():
        model(pixels)
    for handle in handles:
        handle.remove()
    return copies


def mean(whole: Tensor, layer: Layer, prefix: int) -> np.ndarray:
    values = whole.double().numpy()
    if values.ndim == 3:
        values = values[:, prefix:]
    over = tuple(axis for axis in range(1, values.ndim) if axis != layer.axis)
    return values.mean(over)


@cache
def network(architecture: str, crop: int) -> tuple[str, nn.Module]:
    settings = resolve_settings(architecture)
    return settings, initialised(architecture, crop, 0, settings)


@pytest.mark.parametrize("name", all_but(NETWORKS.keys() - LARGE, NETWORKS))
def test_every_table_by_both_ways(
    name: str, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    crop, traced, expected = NETWORKS[name]
    architecture = folders.get(name, name)
    settings, model = network(architecture, crop)
    empty = skeleton(architecture, crop, settings)
    assert (graph.trace(empty) is not None) == traced
    table: dict[str, str] = {}
    for kind, units in expected.items():
        if units:
            own = layer_table(architecture, kind, crop, settings)
            assert len(own) == len(units), own
            table |= own
    pixels = torch.randn(2, 3, crop, crop, generator=torch.Generator().manual_seed(0))
    oracle = plain_hooks(model, list(table.values()), pixels)
    prefix = TOKENS_IN_FRONT.get(name, getattr(model, "num_prefix_tokens", 0))
    found = {}
    for way in ("traced", "hooks") if traced else ("hooks",):
        if way == "hooks":
            monkeypatch.setattr(graph, "trace", lambda _: None)
        layers = inspect(empty, table, "post_relu", crop)
        units = [n for kind in expected.values() for n in kind]
        assert [layer.units for layer in layers] == units
        reader = read(model, layers, "post_relu", "mean", crop)
        with torch.inference_mode():
            found[way] = layers, reader(pixels)
        for layer, output in zip(*found[way], strict=True):
            whole = mean(oracle[layer.module], layer, prefix)
            np.testing.assert_allclose(output.numpy(), whole, rtol=1e-4, atol=1e-5)
        least = set.union(*needs(empty, table, "post_relu", crop).values())
        held = dict(reader.named_parameters()) | dict(reader.named_buffers())
        assert {key for key in held if not key.endswith("num_batches_tracked")} == least
    if traced:
        assert found["traced"][0] == found["hooks"][0]
        for one, other in zip(found["traced"][1], found["hooks"][1], strict=True):
            assert torch.equal(one, other)


def test_the_tables_that_a_network_does_not_have(folders: dict[str, str]) -> None:
    for name, (crop, _, expected) in NETWORKS.items():
        for kind in (kind for kind, units in expected.items() if not units):
            architecture = folders.get(name, name)
            with pytest.raises(Exception, match=f"layers: must be modules of .* has no {kind}"):
                layer_table(architecture, kind, crop, resolve_settings(architecture))
    assert list(TABLES) == ["blocks", "mlp", "attention", "stages"]


GATED: dict[str, tuple[int, list[str], list[str], Any]] = {
    "timm/vit_small_plus_patch16_dinov3": (
        32,
        ["blocks.{}.mlp.drop1"],
        ["blocks.{}.mlp.fc1_g", "blocks.{}.mlp.fc1_x"],
        lambda gate, value: nn.functional.silu(gate) * value,
    ),
    "timm/eva02_tiny_patch14_224": (
        28,
        ["blocks.{}.mlp.drop1"],
        ["blocks.{}.mlp.fc1"],
        lambda both: nn.functional.silu(both.chunk(2, -1)[0]) * both.chunk(2, -1)[1],
    ),
    "timm/gmixer_12_224": (
        32,
        ["blocks.{}.mlp_channels.drop1"],
        ["blocks.{}.mlp_channels.fc1"],
        lambda both: both.chunk(2, -1)[0] * nn.functional.silu(both.chunk(2, -1)[1]),
    ),
    "dinov2_swiglu": (
        28,
        ["encoder.layer.{}.mlp.down_proj:input"],
        ["encoder.layer.{}.mlp.gate_proj", "encoder.layer.{}.mlp.up_proj"],
        lambda gate, value: nn.functional.silu(gate) * value,
    ),
}
"""Crop, where the product is read, what it is a product of, and how."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.cluster] * (n in LARGE)) for n in GATED]
)
def test_the_hidden_units_of_gated_perceptrons_are_products(
    name: str, folders: dict[str, str]
) -> None:
    crop, read_at, halves, product = GATED[name]
    architecture = folders.get(name, name)
    settings, model = network(architecture, crop)
    table = layer_table(architecture, "mlp", crop, settings)
    assert list(table.values()) == [read_at[0].format(i) for i in range(len(table))]
    layers = inspect(skeleton(architecture, crop, settings), table, "post_relu", crop)
    pixels = torch.randn(2, 3, crop, crop, generator=torch.Generator().manual_seed(0))
    paths = [half.format(i) for i in range(len(table)) for half in halves]
    oracle = plain_hooks(model, paths, pixels)
    prefix = TOKENS_IN_FRONT.get(name, getattr(model, "num_prefix_tokens", 0))
    with torch.inference_mode():
        outputs = read(model, layers, "post_relu", "mean", crop)(pixels)
    for i, (layer, output) in enumerate(zip(layers, outputs, strict=True)):
        whole = product(*(oracle[half.format(i)] for half in halves))
        np.testing.assert_allclose(output.numpy(), mean(whole, layer, prefix), rtol=1e-4, atol=1e-5)


def test_the_giants_of_dinov2_are_gated() -> None:
    table = layer_table("timm/vit_giant_patch14_dinov2", "mlp", 28)
    assert list(table.values()) == [f"blocks.{i}.mlp.drop1" for i in range(40)]

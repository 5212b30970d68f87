from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations import inspect, read
from kdsspark.network.architectures import initialised, skeleton
from kdsspark.network.spec import Tokens
from tests.marks import all_but

BLOCK = {"block": "encoder.layers.encoder_layer_1"}


@pytest.mark.parametrize("tokens", all_but(["cls+mean"], get_args(Tokens)))
def test_a_vision_transformer_of_torchvision(tokens: Tokens) -> None:
    model, pixels = initialised("vit_b_32", 64, 0), torch.randn(2, 3, 64, 64)
    (layer,) = inspect(skeleton("vit_b_32", 64), BLOCK, "post_relu", 64, tokens)
    assert layer.prefix == 1
    kept = []
    block = model.get_submodule(BLOCK["block"])
    block.register_forward_hook(lambda _, __, output: kept.append(output.clone()))
    with torch.inference_mode():
        model(pixels)
        (found,) = read(model, [layer], "post_relu", "mean", 64)(pixels)
    cls, mean = kept[0][:, 0], kept[0][:, 1:].mean(1)
    expected = {"mean": mean, "cls": cls, "cls+mean": torch.cat([cls, mean], 1)}[tokens]
    assert found.shape[1] == layer.units == len(expected[0])
    torch.testing.assert_close(found, expected)


class Added(nn.Module):
    """Tokens of 16 patches with whatever tokens are added in front, and again without them."""

    def __init__(self, **added: tuple[int, ...]) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 2, 2)
        self.names = list(added)
        for name, shape in added.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        self.whole, self.patches = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(self.embed(x).flatten(2).transpose(1, 2))
        added = [getattr(self, name).reshape(1, -1, 4) for name in self.names]
        tokens: torch.Tensor = self.whole(
            torch.cat([*(one.expand(x.shape[0], -1, -1) for one in added), patches], 1)
        )
        return tokens


@pytest.mark.parametrize(
    ("added", "prefix", "has_class"),
    [
        ({}, 0, False),
        ({"class_token": (1, 1, 4)}, 1, True),
        ({"class_embedding": (4,)}, 1, True),
        ({"cls_token": (1, 1, 4), "dist_token": (1, 1, 4)}, 2, True),
        ({"cls_token": (1, 2, 4)}, 2, True),
        ({"cls_token": (1, 1, 4), "register_tokens": (1, 4, 4)}, 5, True),
        ({"reg_token": (1, 9, 4)}, 9, False),  # 9 + 16 tokens are a square, too
    ],
)
def test_how_many_tokens_are_added(
    added: dict[str, tuple[int, ...]], prefix: int, has_class: bool
) -> None:
    model = Added(**added).to("meta").eval()
    table = {"embed": "embed", "patches": "patches", "whole": "whole"}
    layers = inspect(model, table, "post_relu", 8)
    assert [layer.prefix for layer in layers] == [0, 0, prefix]
    only = {"embed": "embed", "whole": "whole"}
    if has_class:
        layers = inspect(model, only, "post_relu", 8, "cls+mean")
        assert [(layer.units, layer.tokens) for layer in layers] == [(4, "mean"), (8, "cls+mean")]
    else:
        with pytest.raises(ConfigError, match="tokens: must be mean for layer whole, which has no"):
            inspect(model, only, "post_relu", 8, "cls")


def test_refuses_class_tokens_where_there_are_none() -> None:
    model = Added(cls_token=(1, 1, 4)).to("meta").eval()
    with pytest.raises(ConfigError, match=r"mean for layer patches, .* no class token, got 'cls'"):
        inspect(model, {"patches": "patches"}, "post_relu", 8, "cls")
    with pytest.raises(ConfigError, match="must be mean where no layer has a class token"):
        inspect(model, {"embed": "embed"}, "post_relu", 8, "cls+mean")

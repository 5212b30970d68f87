"""Which tokens of a vision transformer are not those of patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from typing import Final

from torch import nn

from kdsspark.errors import ConfigError
from kdsspark.network.spec import Layer, Tokens

_CLASS: Final = ("cls_token", "class_token", "class_embedding")
_OTHERS: Final = ("dist_token", "distillation_token", "reg_token", "register_tokens")
"""What torchvision, timm, transformers and open_clip name the parameters that become tokens."""


def with_tokens(layer: Layer, model: nn.Module, shape: Sequence[int], tokens: Tokens) -> Layer:
    """``layer``, whose activation has this shape, read as ``tokens`` says.

    Raises ConfigError if its activation is one of tokens, and the class token is asked for but not
    among them.
    """
    if len(shape) != 3:
        return layer
    prefix = _prefix(model, shape[1])
    if tokens != "mean" and not (prefix and _added(model, _CLASS)):
        raise ConfigError(
            f"tokens: must be mean for layer {layer.name}, which has no class token, got {tokens!r}"
        )
    if not prefix:
        return layer
    units = layer.units * (2 if tokens == "cls+mean" else 1)
    return replace(layer, units=units, prefix=prefix, tokens=tokens)


def _prefix(model: nn.Module, tokens: int) -> int:
    """How many of an activation's tokens stand before those of the patches.

    The model adds its class token, distillation token and registers in front. The patches of a
    square crop are a square of tokens. Where the rest is none, these tokens are not there: they are
    added further on, or the activation is none of tokens.
    """
    added = _added(model, _CLASS + _OTHERS)
    patches = tokens - added
    return added if patches > 0 and isqrt(patches) ** 2 == patches else 0


def _added(model: nn.Module, names: Sequence[str]) -> int:
    """The number of tokens that parameters of these names hold, [..., units] each."""
    return sum(
        parameter.numel() // parameter.shape[-1]
        for path, parameter in model.named_parameters()
        if path.rpartition(".")[2] in names
    )

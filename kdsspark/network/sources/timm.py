"""The image models of timm: ``timm/NAME``, with or without the tag of pretrained weights."""

from __future__ import annotations

import math
from typing import Any, Final

import timm
import timm.data
from torch import Tensor, nn

from kdsspark.config import Preprocessing
from kdsspark.network.sources.unknown import unknown

_PRETRAINED: Final = "pretrained"


def settings(name: str) -> str:
    """None: the name says everything. Raises ConfigError for an unknown name or tag."""
    tagged = timm.list_models(pretrained=True)
    if timm.is_model(name) and ("." not in name or name in tagged):
        return ""
    raise unknown("a model of timm", name, tagged if "." in name else timm.list_models())


def build(name: str, crop: int, _: str) -> nn.Module:
    """The model as timm initialises it; vision transformers are built for the size of the crop."""
    return _create(name, crop, pretrained=False)


def published(_: str) -> list[str]:
    """``pretrained``: the weights of the tag, or timm's default."""
    return [_PRETRAINED]


def preprocessing(name: str, _: str, __: str) -> Preprocessing:
    """As timm evaluates the model: the short side is its crop divided by ``crop_pct``."""
    config = _data_config(name)
    crop: int = config["input_size"][1]
    return Preprocessing(
        resize=math.floor(crop / config["crop_pct"]),
        crop=crop,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
    )


def download(name: str, _: str, crop: int, __: str) -> dict[str, Tensor]:
    """By timm, which fits positions to another size of the crop."""
    return dict(_create(name, crop, pretrained=True).state_dict())


def _data_config(name: str) -> dict[str, Any]:
    config = timm.get_pretrained_cfg(name)
    known = config.to_dict() if config else {}
    resolved: dict[str, Any] = timm.data.resolve_data_config(pretrained_cfg=known)
    return resolved


def _create(name: str, crop: int, pretrained: bool) -> nn.Module:
    options = {} if crop == _data_config(name)["input_size"][1] else {"img_size": crop}
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except TypeError as error:
        if not options or "img_size" not in str(error):
            raise
        model = timm.create_model(name, pretrained=pretrained)  # takes any size
    return model

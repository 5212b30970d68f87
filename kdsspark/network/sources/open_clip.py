"""The image towers of open_clip: ``open_clip/NAME``."""

from __future__ import annotations

from typing import Any, Final

import open_clip
from open_clip.model import _build_vision_tower
from torch import Tensor, nn

from kdsspark.config import Preprocessing
from kdsspark.network.sources.unknown import unknown

_PRETRAINED: Final = "pretrained"
_INTERPOLATIONS: Final = ("bilinear", "bicubic")


def settings(name: str) -> str:
    """None: the name says everything. Raises ConfigError for an unknown one."""
    if name not in open_clip.list_models():
        raise unknown("a model of open_clip", name, open_clip.list_models())
    return ""


def build(name: str, crop: int, _: str) -> nn.Module:
    """The image tower as open_clip initialises it, for the size of the crop."""
    config = open_clip.get_model_config(name)
    # The texts' tower would need a tokenizer, which some models fetch.
    vision = {**config["vision_cfg"], "image_size": crop, "timm_model_pretrained": False}
    tower: nn.Module = _build_vision_tower(
        config["embed_dim"], vision, config.get("quick_gelu", False)
    )
    return tower


def published(name: str) -> list[str]:
    """open_clip's tags of the model, those of its own activation function.

    ``pretrained`` is the first of them. Weights that were trained with QuickGELU belong to the
    model whose name ends in ``-quickgelu``.
    """
    tags = _tags(name)
    return [_PRETRAINED, *tags] if tags else []


def preprocessing(name: str, weights: str, _: str) -> Preprocessing:
    """That of the weights' tag, or else of the first one; the image is no larger than the crop."""
    tags = _tags(name)
    tag = weights if weights in tags else next(iter(tags), "")
    config: dict[str, Any] = open_clip.get_pretrained_cfg(name, tag) or {}
    size = open_clip.get_model_config(name)["vision_cfg"]["image_size"]
    crop = size[0] if isinstance(size, list | tuple) else size
    given = config.get("interpolation", "bicubic")
    return Preprocessing(
        resize=crop,
        crop=crop,
        mean=tuple(config.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        std=tuple(config.get("std", open_clip.OPENAI_DATASET_STD)),
        interpolation=given if given in _INTERPOLATIONS else "bicubic",
    )


def download(name: str, weights: str, crop: int, _: str) -> dict[str, Tensor]:
    """By open_clip, which fits positions to another size of the crop."""
    tag = _tags(name)[0] if weights == _PRETRAINED else weights
    model = open_clip.create_model(name, pretrained=tag, force_image_size=crop)
    return dict(model.visual.state_dict())


def _tags(name: str) -> list[str]:
    quick = open_clip.get_model_config(name).get("quick_gelu", False)
    return [
        tag
        for tag in open_clip.list_pretrained_tags_by_model(name)
        if open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False) == quick
    ]

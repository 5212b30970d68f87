"""The vision models of transformers: ``hf/ID`` of the Hugging Face hub, or ``hf/FOLDER``.

Of a model of images and texts, such as CLIP, it is the one of images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.utils import logging as messages

from kdsspark.config import Preprocessing
from kdsspark.errors import ConfigError

_PRETRAINED: Final = "pretrained"
# As Pillow counts.
_RESAMPLING: Final[dict[int, Any]] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_NO_SETTINGS: Final = ("transformers_version", "_name_or_path", "architectures", "id2label",
                       "label2id", "dtype")  # fmt: skip
"""Keys that do not change the network."""


def settings(name: str) -> str:
    """The configuration of the vision model as JSON; raises ConfigError if there is none."""
    if name.startswith(("/", ".")) and not Path(name, "config.json").is_file():
        raise ConfigError(f"architecture: must be a folder with a config.json, got {name!r}")
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"architecture: must be a model of the Hugging Face hub or a folder with its "
            f"config.json, got {name!r}: {reason}"
        ) from error
    vision = getattr(config, "vision_config", config)
    values = {k: v for k, v in vision.to_dict().items() if k not in _NO_SETTINGS}
    text = json.dumps(values, sort_keys=True)
    with torch.device("meta"):
        model = _empty(text)
    if getattr(model, "main_input_name", None) != "pixel_values":
        raise ConfigError(
            f"architecture: must be a vision model, got {name!r} of type {config.model_type!r}"
        )
    return text


def build(_: str, __: int, settings: str) -> nn.Module:
    """The model as transformers initialises it."""
    return _empty(settings)


def published(_: str) -> list[str]:
    """``pretrained``: those that lie beside the configuration."""
    return [_PRETRAINED]


def preprocessing(name: str, _: str, settings: str) -> Preprocessing:
    """That of ``preprocessor_config.json``, or else the default at the model's size."""
    size = _side(json.loads(settings).get("image_size")) or 224
    try:
        processor = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError):
        return Preprocessing(resize=round(size * 256 / 224), crop=size)
    resize = _side(_plain(processor.size)) or size
    crop = size if "shortest_edge" in _plain(processor.size) else resize
    part = getattr(processor, "crop_pct", None)
    if part and resize < 384:  # as ConvNeXt's processor does
        resize, crop = int(resize / part), resize
    elif getattr(processor, "do_center_crop", False):
        crop = _side(_plain(processor.crop_size)) or crop
    normalised = getattr(processor, "do_normalize", True)
    return Preprocessing(
        resize=max(resize, crop),
        crop=crop,
        mean=tuple(processor.image_mean) if normalised else (0.0, 0.0, 0.0),
        std=tuple(processor.image_std) if normalised else (1.0, 1.0, 1.0),
        channels="bgr" if getattr(processor, "do_flip_channel_order", False) else "rgb",
        interpolation=_RESAMPLING.get(int(processor.resample), "bilinear"),
    )


def download(name: str, _: str, __: int, settings: str) -> dict[str, Tensor]:
    """By transformers, which knows the old spellings of keys in older files."""
    with _quiet():
        model = AutoModel.from_pretrained(name, config=_config(settings), dtype=torch.float32)
    return dict(model.state_dict())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a bar, and without the list of tensors that another task's model has."""
    before = messages.get_verbosity()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(before)
        messages.enable_progress_bar()


def _config(settings: str) -> Any:
    return AutoConfig.for_model(**json.loads(settings))


def _empty(settings: str) -> nn.Module:
    model: nn.Module = AutoModel.from_config(_config(settings), dtype=torch.float32)
    return model


def _plain(size: Any) -> dict[str, int]:
    """{"shortest_edge": pixels} or {"height": pixels, "width": pixels}."""
    values = size if isinstance(size, dict) else vars(size)
    return {key: value for key, value in values.items() if value is not None}


def _side(size: Any) -> int | None:
    """The side in pixels of whatever transformers calls a size."""
    if isinstance(size, dict):
        size = size.get("shortest_edge") or size.get("height")
    if isinstance(size, list | tuple):
        size = size[0]
    return int(size) if size else None

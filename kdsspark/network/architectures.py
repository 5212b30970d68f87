"""Torchvision's classification models: which layers an embedding reads, and empty models to fill.

The layer tables follow the paper's order (section 3): convolutions from input to output, then
the fully connected layers without the last, which is the classifier of the source task.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from pydantic import ValidationError
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from kdsspark.config import Preprocessing
from kdsspark.errors import ConfigError

_VGG_CONVOLUTIONS: Final = {  # per block; each block ends with a max pooling
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
_TENSORFLOW_WEIGHTS: Final = ("googlenet", "inception_v3")
"""Their published weights expect pixels in [-1, 1]. Torchvision's builders undo its usual mean and
standard deviation inside the model (``transform_input``); here both are 0.5 instead."""


def _vgg_layers(convolutions: Sequence[int], modules_per_convolution: int) -> dict[str, str]:
    layers = {}
    position = 0
    for block, count in enumerate(convolutions, start=1):
        for i in range(1, count + 1):
            layers[f"conv{block}_{i}"] = f"features.{position}"
            position += modules_per_convolution
        position += 1  # the max pooling
    return {**layers, "fc6": "classifier.0", "fc7": "classifier.3"}


def _built_in() -> dict[str, dict[str, str]]:
    alexnet = {f"conv{i}": f"features.{at}" for i, at in enumerate((0, 3, 6, 8, 10), start=1)}
    tables = {"alexnet": {**alexnet, "fc6": "classifier.1", "fc7": "classifier.4"}}
    for name, convolutions in _VGG_CONVOLUTIONS.items():
        tables[name] = _vgg_layers(convolutions, 2)  # convolution, ReLU
        tables[f"{name}_bn"] = _vgg_layers(convolutions, 3)  # convolution, batch-norm, ReLU
    return tables


BUILT_IN: Final = _built_in()
"""{architecture: {layer name: module path}} of the architectures that need no ``layers``."""


def layer_table(architecture: str, layers: Mapping[str, str] | None) -> dict[str, str]:
    """{layer name: module path} of a network, in the order of the embedding.

    ``layers`` comes from the configuration; null takes the built-in table. Raises ConfigError if
    the architecture is unknown, or if it has no built-in table and ``layers`` is null or empty.
    """
    _check_architecture(architecture)
    if layers:
        return dict(layers)
    if layers is None and architecture in BUILT_IN:
        return dict(BUILT_IN[architecture])
    raise ConfigError(
        f"layers: must be {{layer name: module path}} for {architecture}, got {layers} "
        f"(null is for {', '.join(BUILT_IN)})"
    )


def _check_architecture(architecture: str) -> None:
    known = models.list_models(module=models)
    if architecture not in known:
        close = difflib.get_close_matches(architecture, known)
        hint = f" (did you mean {', '.join(close)}?)" if close else ""
        raise ConfigError(
            f"architecture: must be a torchvision classification model, got {architecture!r}{hint}"
        )


def published_weights(architecture: str) -> dict[str, Any]:
    """{name: torchvision weights} of an architecture, aliases such as DEFAULT included."""
    return dict(models.get_model_weights(architecture).__members__)


def resolve_preprocessing(
    architecture: str, weights: str, given: Preprocessing | None
) -> Preprocessing:
    """The preprocessing with a value for every key: as given, else the weights' own, else default.

    Raises ConfigError if the given keys contradict those of the weights (a crop larger than their
    resize).
    """
    own = Preprocessing()
    published = published_weights(architecture).get(weights)
    if published is not None:
        own = _published_preprocessing(architecture, published.transforms())
    if given is None:
        return own
    try:
        return Preprocessing(**{**own.model_dump(), **given.model_dump(exclude_unset=True)})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"preprocessing: {message}") from None


def _published_preprocessing(architecture: str, preset: Any) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    tensorflow = architecture in _TENSORFLOW_WEIGHTS
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        mean=half if tensorflow else tuple(preset.mean),
        std=half if tensorflow else tuple(preset.std),
        interpolation=preset.interpolation.value,
    )


class _EmptyOnMeta(TorchFunctionMode):
    """Creates parameters without memory and values.

    Unlike ``torch.device("meta")`` it leaves other small tensors as they are, which the
    constructors of RegNet and MaxViT turn into lists of numbers.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


def skeleton(architecture: str, crop: int) -> nn.Module:
    """The model on the meta device, in evaluation mode: shapes without values.

    Raises ConfigError if the architecture cannot take crops of ``crop`` pixels.
    """
    with _EmptyOnMeta():
        return _build(architecture, crop).to("meta").eval()


def initialised(architecture: str, crop: int, seed: int) -> nn.Module:
    """The model as torchvision initialises it, which is equal everywhere for one version of torch.

    The caller's random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _build(architecture, crop).eval()


def _build(architecture: str, crop: int) -> nn.Module:
    options: dict[str, Any] = {}
    if architecture.startswith("vit_"):
        options = {"image_size": crop}
    elif architecture.startswith("maxvit_"):
        options = {"input_size": (crop, crop)}
    elif architecture in _TENSORFLOW_WEIGHTS:
        options = {"init_weights": True}  # the default, but torchvision warns if it is left out
    try:
        model: nn.Module = models.get_model(architecture, weights=None, **options)
    except (AssertionError, ValueError) as error:
        raise crop_error(architecture, crop, error) from None
    return model


def crop_error(architecture: str, crop: int, error: Exception) -> ConfigError:
    """The error to raise if an architecture cannot take crops of ``crop`` pixels."""
    reason = " ".join(str(error).split())[:200]
    return ConfigError(f"preprocessing.crop: must fit {architecture}, got {crop}: {reason}")

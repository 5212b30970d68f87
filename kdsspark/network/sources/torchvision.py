"""Torchvision's classification models, and the layer tables of those that the papers use.

The tables follow the paper's order (section 3): convolutions from input to output, then
the fully connected layers without the last, which is the classifier of the source task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from torch import Tensor, nn

from kdsspark.config import Preprocessing
from kdsspark.network.sources.unknown import unknown
from kdsspark.network.sources.vision import models

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


def settings(name: str) -> str:
    """None: the name says everything. Raises ConfigError for an unknown one."""
    known = models.list_models(module=models)
    if name not in known:
        raise unknown("a torchvision classification model", name, known)
    return ""


def build(name: str, crop: int, _: str) -> nn.Module:
    """The model as torchvision initialises it; raises what torchvision does for such a crop."""
    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        options = {"image_size": crop}
    elif name.startswith("maxvit_"):
        options = {"input_size": (crop, crop)}
    elif name in _TENSORFLOW_WEIGHTS:
        options = {"init_weights": True}  # the default, but torchvision warns if it is left out
    model: nn.Module = models.get_model(name, weights=None, **options)
    return model


def published(name: str) -> list[str]:
    """Torchvision's names of weights, aliases such as DEFAULT included."""
    return list(models.get_model_weights(name).__members__)


def preprocessing(name: str, weights: str, _: str) -> Preprocessing:
    """That of published weights, else the default."""
    if weights not in published(name):
        return Preprocessing()
    preset = models.get_model_weights(name)[weights].transforms()
    half = (0.5, 0.5, 0.5)
    tensorflow = name in _TENSORFLOW_WEIGHTS
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        mean=half if tensorflow else tuple(preset.mean),
        std=half if tensorflow else tuple(preset.std),
        interpolation=preset.interpolation.value,
    )


def download(name: str, weights: str, _: int, __: str) -> dict[str, Tensor]:
    """By torchvision's own builder, which knows the old spellings of keys in older files."""
    chosen = models.get_model_weights(name)[weights]
    try:
        model = models.get_model(name, weights=chosen)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(f"{chosen.url}: {error}") from error
    # Published files hold NaN for layers that have no values.
    return {key: t for key, t in model.state_dict().items() if not _absent(t)}


def _absent(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and bool(tensor.isnan().all())

"""Architectures by their names in the configuration: what they expect, and models to fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kdsspark.config import Preprocessing
from kdsspark.errors import ConfigError, WeightsError
from kdsspark.network.sources import source_of


def resolve_settings(architecture: str) -> str:
    """What building the network takes beside its name (driver): :class:`.sources.Source`.

    Raises ConfigError if there is no such network, or if its library is not installed.
    """
    source, name = source_of(architecture)
    return source.settings(name)


def published_weights(architecture: str) -> list[str]:
    """The names of the published weights of an architecture."""
    source, name = source_of(architecture)
    return source.published(name)


def download(architecture: str, weights: str, crop: int, settings: str) -> dict[str, Tensor]:
    """Published weights, fetched by the network's library; raises WeightsError if that fails."""
    source, name = source_of(architecture)
    try:
        return source.download(name, weights, crop, settings)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"weights: cannot download {weights}: {reason}") from error


def resolve_preprocessing(
    architecture: str, weights: str, given: Preprocessing | None, settings: str = ""
) -> Preprocessing:
    """The preprocessing with a value for every key: as given, else the weights' own, else default.

    Raises ConfigError if the given keys contradict those of the weights (a crop larger than their
    resize).
    """
    source, name = source_of(architecture)
    own = source.preprocessing(name, weights, settings)
    if given is None:
        return own
    try:
        return Preprocessing(**{**own.model_dump(), **given.model_dump(exclude_unset=True)})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"preprocessing: {message}") from None


_FILLING: Final = frozenset(
    getattr(of, name)
    for of, names in (
        (nn.init, "normal_ uniform_ constant_ kaiming_uniform_"),
        (Tensor, "normal_ uniform_ fill_ zero_ add_ sub_ mul_ div_ erfinv_ clamp_"),
    )
    for name in names.split()
)
"""What initialises parameters in place: functions that modes see whole, and the methods that the
other functions call."""


class _EmptyOnMeta(TorchFunctionMode):
    """Creates parameters without memory and values, and does not fill them.

    Unlike ``torch.device("meta")`` it leaves other small tensors as they are, which the
    constructors of RegNet and MaxViT turn into lists of numbers. Torch fills parameters without
    values, too, and that takes twice as long as all else.
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
        elif func in _FILLING:
            filled: Tensor = kwargs["tensor"] if "tensor" in kwargs else args[0]
            if filled.is_meta:
                return filled
        return func(*args, **kwargs)


def skeleton(architecture: str, crop: int, settings: str = "") -> nn.Module:
    """The model on the meta device, in evaluation mode: shapes without values.

    Its state dict has all buffers, also those that its library builds and does not save. Raises
    ConfigError if the architecture cannot take crops of ``crop`` pixels.
    """
    with _EmptyOnMeta():
        model = _build(architecture, crop, settings).to("meta")
    for module in model.modules():
        module._non_persistent_buffers_set.clear()
    return model


def initialised(architecture: str, crop: int, seed: int, settings: str = "") -> nn.Module:
    """The model as its library initialises it, equal everywhere for one version of the libraries.

    The caller's random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _build(architecture, crop, settings)


def constants(architecture: str, crop: int, settings: str) -> dict[str, Tensor]:
    """The buffers that the library fills itself and does not save: tables of places, for example.

    Executors get them with the weights.
    """
    with _EmptyOnMeta():
        model = _build(architecture, crop, settings)
    saved = model.state_dict()
    unsaved = {key: tensor for key, tensor in model.named_buffers() if key not in saved}
    if any(tensor.is_meta for tensor in unsaved.values()):
        filled = dict(initialised(architecture, crop, 0, settings).named_buffers())
        unsaved = {key: filled[key] for key in unsaved}
    return unsaved


def _build(architecture: str, crop: int, settings: str) -> nn.Module:
    source, name = source_of(architecture)
    try:
        return source.build(name, crop, settings).eval()
    except (AssertionError, ValueError) as error:
        raise crop_error(architecture, crop, error) from None


def crop_error(architecture: str, crop: int, error: Exception) -> ConfigError:
    """The error to raise if an architecture cannot take crops of ``crop`` pixels."""
    reason = " ".join(str(error).split())[:200]
    return ConfigError(f"preprocessing.crop: must fit {architecture}, got {crop}: {reason}")

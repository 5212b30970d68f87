"""Turns a configured network into a file of tensors and a description (driver)."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from torch import Tensor, nn

from kdsspark import pixels
from kdsspark.config import Network, Preprocessing
from kdsspark.config.redaction import without_secrets
from kdsspark.errors import ConfigError, KdssparkError, WeightsError
from kdsspark.network import activations, state_dicts
from kdsspark.network.architectures import (
    constants,
    crop_error,
    resolve_preprocessing,
    resolve_settings,
    skeleton,
)
from kdsspark.network.layers.tables import layer_table
from kdsspark.network.receptive_fields import Whole, receptive_fields
from kdsspark.network.spec import Layer, NetworkSpec

_log = logging.getLogger(__name__)


def prepare(network: Network, target: Path) -> NetworkSpec:
    """Resolve ``network``, write the tensors it needs to ``target`` (.safetensors), describe it.

    Floating-point tensors are written as float32, whatever their precision was. ``layers: null``
    keeps the layers of the built-in table that the weights cover.

    Raises ConfigError if the configuration is wrong, and WeightsError if the state dict is missing,
    unsafe or does not fit. Both name the network and the key.
    """
    try:
        return _prepare(network, target)
    except KdssparkError as error:
        raise type(error)(f"networks.{network.name}.{error}") from error.__cause__


def _prepare(network: Network, target: Path) -> NetworkSpec:
    architecture = network.architecture
    if architecture == pixels.ARCHITECTURE:
        return _of_pixels(network, target)
    settings = resolve_settings(architecture)
    preprocessing = resolve_preprocessing(
        architecture, network.weights, network.preprocessing, settings
    )
    crop = preprocessing.crop
    table = layer_table(architecture, network.layers, crop, settings)
    model = skeleton(architecture, crop, settings)
    layers, needs = _layers(network, model, table, crop)
    state = state_dicts.read(network.weights, architecture, crop, network.seed, settings)
    state = constants(architecture, crop, settings) | _fitted(network, state, model)
    covered = _covered(network, needs, state, model.state_dict().keys())
    arrays = _arrays(state, model, set().union(*(needs[layer] for layer in covered)))
    save_file(arrays, target)
    return NetworkSpec(
        name=network.name,
        architecture=architecture,
        layers=tuple(layer for layer in layers if layer.name in covered),
        activation=network.activation,
        pooling=network.pooling,
        crops=network.crops,
        preprocessing=preprocessing,
        precision=network.precision,
        weights=without_secrets(network.weights),
        weights_digest=_digest(arrays),
        settings=settings,
    )


def whole_crops(spec: NetworkSpec) -> dict[str, str]:
    """{layer name: why its units see the whole crop}, of the layers where that is so."""
    if spec.is_pixels:
        return {}
    crop = spec.preprocessing.crop
    model = skeleton(spec.architecture, crop, spec.settings)
    fields = receptive_fields(model, spec.layers, spec.activation, crop)
    return {name: field.reason for name, field in fields.items() if isinstance(field, Whole)}


def _of_pixels(network: Network, target: Path) -> NetworkSpec:
    """No network, and so one description, whatever is configured for networks."""
    if network.layers is not None:
        raise ConfigError(f"layers: must be null for {pixels.ARCHITECTURE}, got {network.layers}")
    save_file({}, target)
    return NetworkSpec(
        name=network.name,
        architecture=pixels.ARCHITECTURE,
        layers=(Layer(pixels.ARCHITECTURE, "", len(pixels.NAMES), "other", 1),),
        activation="post_relu",
        pooling="mean",
        crops="center",
        preprocessing=Preprocessing(resize=pixels.SHORT_SIDE),
        precision="float32",
        weights="none",
        weights_digest=_digest({}),
    )


def _fitted(network: Network, state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The state dict by the model's own names, without a prefix that most of them have in it.

    What has another prefix belongs to other models, of texts for example, or to a task.
    """
    known = model.state_dict().keys()
    prefixes = Counter(
        key[: len(key) - len(name)] for key in state for name in _ends(key) if name in known
    )
    prefix = max(prefixes, key=lambda p: (prefixes[p], -len(p)), default="")
    if not prefix:
        return state
    own = {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
    _log.warning(
        "networks.%s: of the weights, the %d tensors below %s are read, and %d others are not",
        *(network.name, len(own), prefix.removesuffix("."), len(state) - len(own)),
    )
    return own


def _ends(key: str) -> Iterator[str]:
    """``a.b.c``, ``b.c``, ``c``."""
    parts = key.split(".")
    return (".".join(parts[i:]) for i in range(len(parts)))


def _covered(
    network: Network,
    needs: Mapping[str, Collection[str]],
    present: Collection[str],
    known: Collection[str],
) -> list[str]:
    """The layers to compute; WeightsError if tensors are unknown, or missing for a layer."""
    absent = {layer: sorted(set(keys) - set(present)) for layer, keys in needs.items()}
    missing = sorted(set().union(*absent.values()))
    unexpected = sorted(set(present) - set(known))
    if unexpected:
        raise WeightsError(
            f"weights: must fit {network.architecture}, got {_list(unexpected)} unexpected and "
            f"{_list(missing)} missing"
        )
    covered = [layer for layer, keys in absent.items() if not keys]
    if network.layers is not None or not covered:
        for layer, keys in absent.items():
            if keys:
                raise WeightsError(f"weights: must cover layer {layer}, {_list(keys)} missing")
    if missing:
        _log.warning("networks.%s: the weights cover only %s", network.name, ", ".join(covered))
    return covered


def _arrays(
    state: dict[str, Tensor], model: nn.Module, needed: Collection[str]
) -> dict[str, np.ndarray]:
    """The needed tensors in the model's dtypes; removes them from ``state`` to save memory."""
    wrong = []
    arrays = {}
    for key, expected in model.state_dict().items():
        if key not in needed:
            continue
        tensor = state.pop(key)
        if tensor.shape != expected.shape or (
            tensor.is_floating_point() != expected.is_floating_point()
        ):
            wrong.append(f"{key} {_like(expected)}, got {_like(tensor)}")
            continue
        arrays[key] = np.ascontiguousarray(tensor.detach().to(expected.dtype).numpy())
    if wrong:
        raise WeightsError(f"weights: tensors must be {_list(wrong)}")
    return arrays


def _layers(
    network: Network, model: nn.Module, table: Mapping[str, str], crop: int
) -> tuple[tuple[Layer, ...], dict[str, set[str]]]:
    """The layers, and the tensors that each needs."""
    try:
        layers = activations.inspect(model, table, network.activation, crop, network.tokens)
        return layers, activations.needs(model, table, network.activation, crop)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise crop_error(network.architecture, crop, error) from error


def _like(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _list(names: list[str]) -> str:
    """``a, b, c, .. (12)``: the first three names, and the number of all."""
    if not names:
        return "none"
    more = ", .." if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} ({len(names)})"


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """BLAKE2b-128 (hex) of names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).data)
    return digest.hexdigest()

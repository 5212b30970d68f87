"""Reads a state dict from a file, a URL or the network's library; executes nothing in it."""

from __future__ import annotations

import logging
import pickle
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import torch
from fsspec.implementations.local import LocalFileSystem
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kdsspark.errors import ConfigError, WeightsError
from kdsspark.network.architectures import download, initialised, published_weights
from kdsspark.output.filesystems import http_url, locate

_log = logging.getLogger(__name__)

_HTTP: Final = ("http://", "https://")
_SUFFIXES: Final = (".pth", ".pt", ".safetensors")
_ABSENT: Final = (404, 410)  # HTTP: not found, gone
_WRAPPERS: Final = ("state_dict", "model")  # keys under which training scripts keep the tensors


def read(
    weights: str, architecture: str, crop: int, seed: int, settings: str = ""
) -> dict[str, Tensor]:
    """The tensors that ``weights`` names, on the CPU, in the precision in which they were saved.

    ``weights`` is ``random``, a name of published weights (``pretrained`` for most libraries), or a
    path or URL of a state dict (.pth, .pt, .safetensors). Raises ConfigError if it is none of these
    or leads nowhere, and WeightsError if it cannot be fetched, is damaged, or holds anything but
    tensors.
    """
    published = published_weights(architecture)
    if weights == "random":
        return dict(initialised(architecture, crop, seed, settings).state_dict())
    if weights in published:
        return download(architecture, weights, crop, settings)
    suffix = _suffix(weights)
    if suffix not in _SUFFIXES:
        raise ConfigError(
            f"weights: must be random, a published name ({', '.join(published)}), or a path or "
            f"URL ending in {', '.join(_SUFFIXES)}, got {weights!r}"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = _fetch(weights, Path(folder) / f"weights{suffix}")
        content = _load_safetensors(path) if suffix == ".safetensors" else _load_pickle(path)
    return _plain(content)


def _suffix(weights: str) -> str:
    name = weights.partition("?")[0] if weights.startswith(_HTTP) else weights
    return Path(name).suffix.lower()


def _fetch(weights: str, copy: Path) -> Path:
    """A local path of the file: the file itself if it is local, or else ``copy``."""
    try:
        if weights.startswith(_HTTP):
            torch.hub.download_url_to_file(http_url(weights), str(copy))
            return copy
        filesystem, path = locate(weights)
        if not filesystem.isfile(path):
            raise ConfigError(f"weights: cannot read {weights}: no such file")
        if isinstance(filesystem, LocalFileSystem):
            return Path(path)
        filesystem.get_file(path, str(copy))
    except (ValueError, ImportError) as error:  # an unknown kind of URL
        raise ConfigError(f"weights: cannot read {weights}: {error}") from error
    except OSError as error:
        absent = getattr(error, "code", None) in _ABSENT  # of urllib's HTTPError
        kind = ConfigError if absent else WeightsError
        raise kind(f"weights: cannot read {weights}: {error}") from error
    return copy


def _load_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"weights: not a readable safetensors file: {error}") from error


def _load_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; a refusal is an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch's own message would advise the user to load the file without this protection.
        found = re.search(r"GLOBAL (\S+)", str(error))
        raise WeightsError(
            "weights: must be a pickled state dict of nothing but tensors, got "
            f"{found[1] if found else 'something else'} (refused, nothing in it was executed)"
        ) from None
    except Exception as error:  # a damaged file can raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"weights: not a readable state dict: {reason}") from error


def _plain(content: Any) -> dict[str, Tensor]:
    """The tensors by their names in the model, without a wrapper and DataParallel's prefix."""
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            _log.warning("weights: the tensors are those of %r in the file", wrapper)
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"weights: must be a state dict, got {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"weights: must map names to tensors, got {type(value).__name__} at {key!r}"
            )
    plain = {re.sub(r"(^|\.)module\.", r"\1", key): value for key, value in content.items()}
    if plain.keys() != content.keys():
        _log.warning("weights: module. is left out of the names of tensors")
    return plain

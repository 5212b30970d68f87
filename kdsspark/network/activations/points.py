"""At which module's output a layer is read, by the modules' names and classes alone.

===========  ==================================================  ==========================
activation   named module                                        is read
===========  ==================================================  ==========================
post_relu    convolution, batch-norm or linear, followed in its  after that ReLU
             own ``nn.Sequential`` by a ReLU (with a batch-norm
             between them or not)
pre_relu     ReLU                                                before it
pre_relu     convolution or linear followed in its own           after the batch-norm
             ``nn.Sequential`` by a batch-norm
either       any other (Fire module, residual block, ...)        at its output, as it is
===========  ==================================================  ==========================

``PATH:input`` is what a linear layer or convolution is given, as it is. ReLU6 counts as a ReLU. A
module that is called more than once is read at its last call. One that returns several values is
read at the first.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final, NamedTuple

from torch import nn

from kdsspark.errors import ConfigError

RELU: Final = (nn.ReLU, nn.ReLU6)
BATCH_NORM: Final = (nn.BatchNorm1d, nn.BatchNorm2d)
_WEIGHTED: Final = (nn.Conv2d, nn.Linear)


INPUT: Final = ":input"
"""Ends the path of a module whose input is read."""


class Point(NamedTuple):
    """Where a layer is read: at the output of a module, or at its input."""

    path: str
    before: bool


def points(model: nn.Module, table: Mapping[str, str], activation: str) -> dict[str, Point]:
    """Where each layer of {layer name: module path} is read.

    Raises ConfigError if a path names no module of the model, or asks for the input of one that is
    no linear layer or convolution.
    """
    modules = dict(model.named_modules())
    found = {}
    for layer, given in table.items():
        path = module_of(given)
        if not path or path not in modules:
            close = ", ".join(difflib.get_close_matches(path, modules)) or "none is close"
            raise ConfigError(
                f"layers.{layer}: must be a module path of {type(model).__name__}, "
                f"got {path!r} ({close})"
            )
        if given != path:
            if not _is(modules, path, _WEIGHTED):
                raise ConfigError(
                    f"layers.{layer}: must be the input of a linear layer or convolution, "
                    f"got {given!r}"
                )
            found[layer] = Point(path, True)
            continue
        before = activation == "pre_relu" and isinstance(modules[path], RELU)
        found[layer] = Point(_read_at(modules, path, activation), before)
    return found


def module_of(path: str) -> str:
    """The module that ``path`` is of: its own, or the one whose input it stands for."""
    return path.removesuffix(INPUT)


def _read_at(modules: Mapping[str, nn.Module], path: str, activation: str) -> str:
    """The path of the module whose output is read for ``path``: its own, or one that follows."""
    following = _following(modules, path)
    normalised = following[0] if following and _is(modules, following[0], BATCH_NORM) else None
    if activation == "pre_relu":
        return normalised if normalised and _is(modules, path, _WEIGHTED) else path
    rest = following[1:] if normalised else following
    rectified = rest[0] if rest and _is(modules, rest[0], RELU) else None
    return rectified if rectified and _is(modules, path, _WEIGHTED + BATCH_NORM) else path


def _following(modules: Mapping[str, nn.Module], path: str) -> list[str]:
    """The paths of the modules after ``path`` in its own ``nn.Sequential``."""
    parent, _, child = path.rpartition(".")
    container = modules[parent]
    if not isinstance(container, nn.Sequential):
        return []
    siblings = [name for name, _ in container.named_children()]
    return [f"{parent}.{name}".lstrip(".") for name in siblings[siblings.index(child) + 1 :]]


def _is(modules: Mapping[str, nn.Module], path: str, kinds: tuple[type, ...]) -> bool:
    return isinstance(modules[path], kinds)

"""What ``kdsspark layers`` says of a network: all modules that can be layers (driver)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from torch import nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations.hooks import Call, kind, survey
from kdsspark.network.activations.points import module_of
from kdsspark.network.activations.reading import unit_axis
from kdsspark.network.architectures import (
    crop_error,
    resolve_preprocessing,
    resolve_settings,
    skeleton,
)
from kdsspark.network.layers.tables import TABLES
from kdsspark.network.sources.torchvision import BUILT_IN

_HEAD = ("path", "class", "shape", "units", "kind", "in tables")


def listing(architecture: str) -> str:
    """Every module that a pass calls: path, class, shape for one crop, units, kind, layer tables.

    The crop is that of the preprocessing for weights ``random``; no weights are needed. Where there
    are no units, the output has a form that no layer can have. Raises ConfigError for an unknown
    architecture.
    """
    settings = resolve_settings(architecture)
    crop = resolve_preprocessing(architecture, "random", None, settings).crop
    model = skeleton(architecture, crop, settings)
    try:
        calls = survey(model, crop)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise crop_error(architecture, crop, error) from error
    rows = [_HEAD, *_rows(model, calls, _larger(model, crop), _tables(architecture, model, calls))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join([f"{architecture}, crops of {crop} x {crop} pixels", "", *lines])


def _larger(model: nn.Module, crop: int) -> Mapping[str, Sequence[int]]:
    """Path -> shape for crops twice as large; empty where the network takes one size only."""
    try:
        return {call.path: call.shape for call in survey(model, 2 * crop) if call.shape}
    except (RuntimeError, AssertionError, ValueError):
        return {}


def _tables(
    architecture: str, model: nn.Module, calls: Sequence[Call]
) -> Mapping[str, Sequence[str]]:
    """Path -> the names of its layers, with the tables that select them."""
    tables = {name: select(model, calls) for name, select in TABLES.items()}
    tables |= {"null": BUILT_IN[architecture]} if architecture in BUILT_IN else {}
    found = defaultdict(list)
    for name, table in tables.items():
        for layer, path in table.items():
            of = module_of(path)
            found[of].append(f"{name}: {layer}" if of == path else f"{name}: {layer} (its input)")
    return found


def _rows(
    model: nn.Module,
    calls: Sequence[Call],
    larger: Mapping[str, Sequence[int]],
    tables: Mapping[str, Sequence[str]],
) -> list[tuple[str, ...]]:
    modules = dict(model.named_modules())
    last = {call.path: i for i, call in enumerate(calls) if call.shape and call.path}
    if not last:
        raise ConfigError("architecture: must have modules that return tensors")
    rows: list[tuple[str, ...]] = []
    for path in (path for path in modules if path in last):
        shape = calls[last[path]].shape
        assert shape is not None
        axis = unit_axis(shape, larger.get(path, shape))
        units, of_kind = "", ""
        if axis is not None:
            units, of_kind = f"{shape[axis]}", kind(shape, calls[: last[path] + 1], modules)
        of_one = " x ".join(map(str, shape[1:]))
        names = ", ".join(tables.get(path, ()))
        rows.append((path, type(modules[path]).__name__, of_one, units, of_kind, names))
    return rows

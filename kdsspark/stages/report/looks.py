"""Units and classes that somebody asked to see: the report shows them beside what it chooses.

``kdsspark look`` writes the wish into the output, so that later reports have the same pages.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from kdsspark.config import Config
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.output import Output
from kdsspark.report.parts import names
from kdsspark.stages import label_sets
from kdsspark.stages.embed.networks import layer_widths

_NAMED: Final = 12  # names that an error lists

UnitWanted = tuple[str, str, int]
"""Network, layer, unit."""

ClassWanted = tuple[str, str]
"""Dataset, name of the class."""


@dataclass(frozen=True)
class Looks:
    """What was asked for: units, which get projections, and classes, which get more units."""

    units: frozenset[UnitWanted] = frozenset()
    classes: frozenset[ClassWanted] = frozenset()

    def features(self, network: str) -> list[tuple[str, int]]:
        """The layers and units that are wanted of a network."""
        return sorted((layer, unit) for name, layer, unit in self.units if name == network)

    def names(self, dataset: str) -> set[str]:
        """The classes that are wanted of a dataset."""
        return {name for own, name in self.classes if own == dataset}


def read(output: Output) -> Looks:
    """What was asked for so far."""
    try:
        saved = output.read_json(output.looks)
    except FileNotFoundError:
        return Looks()
    units = frozenset((n, layer, unit) for n, layer, unit in saved["units"])
    return Looks(units, frozenset((d, name) for d, name in saved["classes"]))


def add_unit(output: Output, config: Config, network: str, layer: str, unit: str) -> str:
    """Ask for a unit; returns its page. Raises :class:`ConfigError` where there is none such."""
    _check("network", {name for name, _ in config.pairs()}, network)
    widths = layer_widths(output, network)
    if not widths:
        raise DatasetError(f"network {network}: has no embeddings, run the embed stage first")
    _check(f"layer of {network}", widths, layer)
    if not unit.isdecimal() or int(unit) >= widths[layer]:
        last = widths[layer] - 1
        raise ConfigError(f"--unit: unit of {layer} must be from 0 to {last}, got {unit}")
    known = read(output)
    _write(output, Looks(known.units | {(network, layer, int(unit))}, known.classes))
    return names.unit_page(network, layer, int(unit))


def add_class(output: Output, config: Config, dataset: str, name: str) -> list[str]:
    """Ask for a class; returns its page by each network. Raises like :func:`add_unit`."""
    _check("dataset", {d.name for d in config.datasets}, dataset, "--class")
    classes = label_sets.class_ids(output, dataset)
    if not classes:
        raise DatasetError(f"dataset {dataset}: is not indexed, run the index stage first")
    _check(f"class of {dataset}", classes, name, "--class")
    known = read(output)
    _write(output, Looks(known.units, known.classes | {(dataset, name)}))
    networks = [network for network, d in config.pairs() if d.name == dataset]
    return [names.class_page(network, dataset, name) for network in networks]


def _write(output: Output, looks: Looks) -> None:
    saved = {"units": sorted(looks.units), "classes": sorted(looks.classes)}
    output.write_json(output.looks, saved)


def _check(what: str, known: Collection[str], got: str, option: str = "--unit") -> None:
    if got in known:
        return
    close = difflib.get_close_matches(got, known)
    shown = close or sorted(known)[:_NAMED]
    more = ", ..." if not close and len(known) > _NAMED else ""
    hint = "did you mean " if close else "one of "
    raise ConfigError(f"{option}: no {what} is {got!r}, {hint}{', '.join(shown)}{more}")

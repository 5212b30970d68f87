"""Which units figures 2, 3, 4 and 7 of the paper draw, and which of other data (arithmetic).

Where the network is the paper's, its own units are drawn. Where the dataset is not, the same choice
is made for the dataset at hand, by a rule that leaves nothing to taste:

- figure 2: the units with the highest ks of their layers, each for the class that has it. Layers
  are spread evenly from behind the first third of the network to its last one.
- figures 3 and 4: the same for the lowest ks, with the classes that are lowest.
- figure 7: the class that a unit of the first third tells best, and its best units there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kdsspark import paper
from kdsspark.report.gallery.choice import Distances, Layers
from kdsspark.report.gallery.gallery import FigureUnit, LayerShown, UnitFigure


@dataclass(frozen=True)
class _Rule:
    dataset: str  # the paper's
    units: int
    classes: int  # of a unit
    sign: int  # 1: the highest distances, -1: the lowest


RULES: Final = {
    2: _Rule("mit67", units=8, classes=1, sign=1),
    3: _Rule("cub200", units=1, classes=4, sign=-1),
    4: _Rule("flowers102", units=2, classes=3, sign=-1),
    7: _Rule("flowers102", units=4, classes=1, sign=1),
}
"""Figure -> what it draws."""

IN_ROWS: Final = (3, 4)
"""Figures that draw the patches of a unit in one row, above a row of samples of the classes."""


def datasets_of(names: Sequence[str], largest: str) -> dict[int, str]:
    """Figure -> the dataset it is drawn for: the paper's if ``names`` has it, else ``largest``."""
    own = {paper.canonical(name): name for name in reversed(names)}
    return {number: own.get(rule.dataset, largest) for number, rule in RULES.items()}


def choose(
    numbers: Iterable[int],
    dataset: str,
    ks: Distances,
    layers: Sequence[LayerShown],
    class_names: Mapping[int, str],
    papers_network: bool,
) -> tuple[UnitFigure, ...]:
    """The figures ``numbers`` of one dataset, without those that have no unit to draw.

    ``ks``: float32 [classes, features], 0 where undefined. ``papers_network``: whether its units
    are those that the paper names. On another dataset than the paper's, a figure comes twice: with
    the units that the paper names, and with the same choice of this dataset.
    """
    depth = np.repeat(np.arange(len(layers), dtype=np.int32), [layer.units for layer in layers])
    found: list[UnitFigure] = []
    for number in sorted(numbers):
        rule = RULES[number]
        named = _named(number, ks, layers, class_names) if papers_network else ()
        found.append(UnitFigure(number, True, named))
        if not named or paper.canonical(dataset) != rule.dataset:
            taken = {unit.feature for other in found for unit in other.units}
            found.append(UnitFigure(number, False, _alike(number, ks, depth, taken)))
    return tuple(figure for figure in found if figure.units)


def features(figures: Iterable[UnitFigure]) -> list[int]:
    """The features that figures draw."""
    return [unit.feature for figure in figures for unit in figure.units]


def in_rows(figures: Iterable[UnitFigure]) -> list[int]:
    """The features whose patches figures draw in one row, each once."""
    own = (figure for figure in figures if figure.number in IN_ROWS)
    return list(dict.fromkeys(features(own)))


def _named(
    number: int, ks: Distances, layers: Sequence[LayerShown], class_names: Mapping[int, str]
) -> tuple[FigureUnit, ...]:
    """The paper's units of the layers at hand, for its classes, else for those of this dataset."""
    rule, own = RULES[number], {layer.name: layer for layer in layers}
    known = {_plain(name): c for c, name in class_names.items()}
    rows = paper.UNITS[(paper.UNITS["figure"] == number) & paper.UNITS["layer"].isin(list(own))]
    units = []
    for (layer, unit), printed in rows.groupby(["layer", "unit"], sort=False):
        feature = own[str(layer)].first + int(str(unit))
        published = tuple(zip(printed["class_name"], printed["ks"].astype(float), strict=True))
        classes = [known[_plain(name)] for name, _ in published if _plain(name) in known]
        units.append((feature, tuple(classes), published))
    if number == 7 and not all(classes for _, classes, _ in units):
        of_all = ks[:, [feature for feature, _, _ in units]].mean(axis=1)
        one = max(class_names, key=lambda c: float(of_all[c]))
        units = [(feature, (one,), published) for feature, _, published in units]
    return tuple(
        FigureUnit(f, classes or _farthest(rule.sign * ks[:, f], rule.classes), published)
        for f, classes, published in units
    )


def _alike(number: int, ks: Distances, depth: Layers, taken: set[int]) -> tuple[FigureUnit, ...]:
    """The same choice of other data; no unit that is ``taken``."""
    rule = RULES[number]
    ends = rule.sign * ks
    if number != 7:
        return tuple(
            FigureUnit(f, _farthest(ends[:, f], rule.classes))
            for f in _spread(ends.max(axis=0, initial=0), depth, rule.units, taken)
        )
    first = np.flatnonzero(depth < max(1, _n_layers(depth) // 3))
    c = int(ends[:, first].max(axis=1).argmax())
    order = first[np.argsort(-ends[c, first], kind="stable")]
    free = [int(f) for f in order if ends[c, f] > 0 and f not in taken]
    return tuple(FigureUnit(f, (c,)) for f in free[: rule.units])


def _spread(values: npt.NDArray[np.float32], depth: Layers, n: int, taken: set[int]) -> list[int]:
    """``n`` features with the highest values of their layers; layers are evenly apart.

    The last layer is among them. Where layers are fewer, a layer gives its second one, and so on,
    up to its tenth.
    """
    last = _n_layers(depth) - 1
    start = (last + 1) // 3
    found: list[int] = []
    for i in range(1, n + 1):
        own = np.flatnonzero(depth == start + round(i * (last - start) / n))
        best = own[np.argsort(-values[own], kind="stable")][:_HIGHEST]
        free = [int(f) for f in best if values[f] > 0 and f not in taken and f not in found]
        found += free[:1]
    return found


_HIGHEST: Final = 10  # of a layer: "among the ten highest of their layer" (figures 2, 3, 4, 7)


def _n_layers(depth: Layers) -> int:
    return int(depth.max()) + 1


def _farthest(values: npt.NDArray[np.float32], n: int) -> tuple[int, ...]:
    """The classes with the highest values above 0, at most ``n``."""
    order = np.argsort(-values, kind="stable")[:n]
    return tuple(int(c) for c in order if values[c] > 0)


def _plain(name: str) -> str:
    """A name without case, digits and signs: datasets write ``035.Alpine_sea_holly``."""
    return "".join(letter for letter in name.lower() if letter.isalpha())

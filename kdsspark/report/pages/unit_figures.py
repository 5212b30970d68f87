"""Figures 2, 3, 4 and 7 of the paper: units and their patches, beside samples of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kdsspark.report.gallery.gallery import FigureUnit, Gallery, Sample, UnitFigure
from kdsspark.report.gallery.unit_figures import IN_ROWS, RULES
from kdsspark.report.parts import cards, names

_SAMPLES: Final = 3  # of each class below a row of patches

_TITLES: Final = {
    2: "Units with the highest distances",
    3: "A unit with the lowest distances",
    4: "Units with the lowest distances",
    7: "A class, and units of low layers that tell it best",
}


def figures(galleries: Sequence[Gallery]) -> list[dict[str, Any]]:
    """What the template draws, by number, the paper's own units first.

    ``galleries`` are of one network.
    """
    drawn = [(figure, gallery) for gallery in galleries for figure in gallery.figures]
    return [
        _figure(gallery, figure)
        for figure, gallery in sorted(drawn, key=lambda one: (one[0].number, not one[0].named))
    ]


def _figure(gallery: Gallery, figure: UnitFigure) -> dict[str, Any]:
    first = figure.units[0].classes[0]
    return {
        "number": figure.number,
        "title": _TITLES[figure.number],
        "named": figure.named,
        "of_paper": RULES[figure.number].dataset,
        "dataset": gallery.dataset,
        "page": names.dataset_page(gallery.network, gallery.dataset),
        "corpus": gallery.units[figure.units[0].feature].corpus,
        "in_rows": figure.number in IN_ROWS,
        "shown": cards.class_link(gallery, first) if figure.number == 7 else None,
        "tiles": cards.tiles(gallery.by_id[first]) if figure.number == 7 else [],
        "units": [_unit(gallery, unit) for unit in figure.units],
    }


def _unit(gallery: Gallery, unit: FigureUnit) -> dict[str, Any]:
    shown = gallery.units[unit.feature]
    row = gallery.rows.get(unit.feature)
    return {
        **cards.link(gallery, unit.feature),
        "patches": cards.patches(shown),
        "dead": cards.dead(shown),
        "row": [] if row is None else _row(row, shown.name),
        "classes": [_of_class(gallery, unit.feature, c) for c in unit.classes],
        "published": unit.published,
    }


def _of_class(gallery: Gallery, feature: int, c: int) -> dict[str, Any]:
    ks = float(gallery.ks[c, feature])
    tiles = cards.tiles(gallery.by_id[c], _SAMPLES)
    return {**cards.class_link(gallery, c, ks), "css": cards.css(ks), "tiles": tiles}


def _row(row: Sample, name: str) -> list[dict[str, Any]]:
    """The patches of a unit, each a position in one strip."""
    return [
        {"src": row.path, "at": cards.at(i, row.n), "alt": f"patch {i + 1} of {name}"}
        for i in range(row.n)
    ]

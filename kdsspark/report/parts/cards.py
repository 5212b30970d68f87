"""What the pages show of a unit beside a class: a card with patches, curves and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from kdsspark.report.gallery.choice import extremes
from kdsspark.report.gallery.gallery import ClassShown, Gallery, UnitShown
from kdsspark.report.parts import formats, names
from kdsspark.report.parts.densities import cumulative, densities

_NAMED: Final = 2  # classes of the patches, and next classes, on a card


def css(ks: float) -> str:
    """The CSS class of a distance: by presence or by absence."""
    return "plus" if ks >= 0 else "minus"


def link(gallery: Gallery, feature: int) -> dict[str, Any]:
    """The name of a unit, and its page where it has one."""
    return unit_link(gallery, feature) | ({} if feature in gallery.units else {"page": None})


def unit_link(gallery: Gallery, feature: int) -> dict[str, Any]:
    """The name and the page of a unit, which may be drawn for another dataset alone."""
    layer, unit = gallery.unit_of(feature)
    page = names.unit_page(gallery.network, layer, unit)
    return {"name": f"{layer} \u00b7 {unit}", "page": page}


def unit_pages(galleries: Sequence[Gallery]) -> dict[tuple[str, int], str]:
    """(layer, unit) -> its page, of every unit that is drawn; ``galleries`` are of one network."""
    return {
        (unit.layer.name, unit.unit): names.unit_page(gallery.network, unit.layer.name, unit.unit)
        for gallery in galleries
        for unit in gallery.units.values()
    }


def class_link(gallery: Gallery, c: int, ks: float | None = None) -> dict[str, Any]:
    """The name of a class, its page, and its distance for a unit."""
    name = gallery.by_id[c].name
    page = names.class_page(gallery.network, gallery.dataset, name)
    return {"name": name, "page": page, "ks": ks}


def card(gallery: Gallery, c: int, feature: int) -> dict[str, Any]:
    """A unit as it responds to a class."""
    unit, ks = gallery.units[feature], float(gallery.ks[c, feature])
    column = gallery.ks[:, feature]
    high, low = extremes(column, _NAMED + 1)
    following = [other for other in (high if ks >= 0 else low) if other != c][:_NAMED]
    return {
        **link(gallery, feature),
        "ks": ks,
        "css": css(ks),
        "q": None if gallery.q is None else float(gallery.q[c, feature]),
        "patches": patches(unit),
        "dead": dead(unit),
        "from": origins(unit)[:_NAMED],
        "next": [class_link(gallery, other, float(column[other])) for other in following],
        "drawing": _drawing(gallery, unit, c, ks),
    }


def _drawing(gallery: Gallery, unit: UnitShown, c: int, ks: float) -> str | None:
    if unit.counts is None or c not in unit.inner:
        return None
    name = gallery.by_id[c].name
    label = f"values of {unit.name} for {name}, in colour, and for all other images, grey"
    return densities(unit.counts, unit.inner[c], css(ks), label)


def curves(gallery: Gallery, unit: UnitShown, c: int) -> dict[str, Any]:
    """Both drawings of a unit and class, as figure 1 of the paper has them."""
    shown = class_link(gallery, c, float(gallery.ks[c, unit.feature]))
    sign = css(shown["ks"])
    where = f"of {unit.name} for {shown['name']} and for all other images"
    assert unit.counts is not None, "the counts of a class are among those of all"
    return shown | {
        "css": sign,
        "density": densities(unit.counts, unit.inner[c], sign, f"values {where}"),
        "cumulative": cumulative(unit.counts, unit.inner[c], sign, f"cumulative values {where}"),
    }


def patches(unit: UnitShown) -> dict[str, Any] | None:
    """The picture of a unit's patches, with its text for those who cannot see it."""
    if unit.patches is None:
        return None
    shown = ", ".join(f"{n} of {name}" for name, n in origins(unit))
    return {
        "src": unit.patches.path,
        "alt": f"The {unit.patches.n} patches that excite {unit.name} most: {shown}",
        "rows": -(-unit.patches.n // 3),
    }


def dead(unit: UnitShown) -> str | None:
    """Says that a unit is dead, if it is."""
    if not unit.dead:
        return None
    return f"dead: no image of {unit.corpus} excites it"


def origins(unit: UnitShown) -> list[tuple[str, int]]:
    """The classes that a unit's patches come from, with their numbers, the most frequent first."""
    return Counter(exemplar.class_name for exemplar in unit.exemplars).most_common()


def tiles(shown: ClassShown, n: int | None = None) -> list[dict[str, Any]]:
    """The sample images of a class, each a position in one strip."""
    if shown.samples is None:
        return []
    return [
        {
            "src": shown.samples.path,
            "at": at(i, shown.samples.n),
            "alt": f"image {i + 1} of {shown.name}",
        }
        for i in range(min(n or shown.samples.n, shown.samples.n))
    ]


def at(i: int, n: int) -> str:
    """Where the i-th of ``n`` tiles lies in their strip, as CSS positions the strip in a tile.

    With so many digits that it is right to a thousandth of a tile.
    """
    return f"{100 * i / max(1, n - 1):.{3 + len(str(n))}g}%"


def percent(part: float, whole: float) -> str:
    """``42 %``; ``< 1 %`` and ``> 99 %`` rather than 0 and 100 where that is not exact."""
    if not whole:
        return "\u2013"
    share = 100 * part / whole
    if 0 < share < 1:
        return "< 1 %"
    if 99 < share < 100:
        return "> 99 %"
    return f"{formats.number(share)} %"


def several(found: Sequence[Gallery], network: str) -> list[Gallery]:
    """The galleries of one network."""
    return [gallery for gallery in found if gallery.network == network]

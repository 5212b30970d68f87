"""How much the pages show, so that the whole site stays small however many classes there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """Units of a class, and sides of pictures in pixels."""

    units: int
    sample: int
    patch: int
    tile: int  # of a layer's sheet


_BY_CLASSES: Final = {
    100: Sizes(units=12, sample=88, patch=64, tile=44),
    200: Sizes(units=8, sample=88, patch=64, tile=44),
    400: Sizes(units=6, sample=72, patch=56, tile=40),
}
"""The most classes of all pairs together -> sizes."""

_OF_MANY: Final = Sizes(units=3, sample=56, patch=44, tile=36)


def of_site(n_classes: int, units: int | None) -> Sizes:
    """The sizes for so many classes of all pairs; ``units``: what the configuration asks for."""
    fitting = (sizes for most, sizes in _BY_CLASSES.items() if n_classes <= most)
    sizes = next(fitting, _OF_MANY)
    return sizes if units is None else replace(sizes, units=units)

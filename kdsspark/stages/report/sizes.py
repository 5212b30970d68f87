"""How much the pages show, so that the whole site stays small however many classes there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """Units of a class, and sides of pictures in pixels."""

    units: int
    sample: int
    patch: int
    tile: int  # of a layer's sheet


_FEW: Final = Sizes(units=12, sample=88, patch=64, tile=44)
_MANY: Final = Sizes(units=3, sample=56, patch=44, tile=36)
_FEW_CLASSES: Final = 300  # of all pairs together
_MANY_CLASSES: Final = 1200


def of_site(n_classes: int, units: int | None) -> Sizes:
    """The sizes for so many classes of all pairs; ``units``: what the configuration asks for."""
    chosen = _MANY if n_classes > _MANY_CLASSES else _FEW
    if _FEW_CLASSES < n_classes <= _MANY_CLASSES:
        chosen = Sizes(units=6, sample=72, patch=56, tile=40)
    return chosen if units is None else Sizes(units, chosen.sample, chosen.patch, chosen.tile)

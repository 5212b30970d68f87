"""How the maps of a layer are cut into cells, as plain numbers (driver and executors, no torch)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Spatial = Literal["grids", "maps"]
"""The poolings that keep where in its map a unit fires (:mod:`.activations.cells`)."""

GRIDS: Final = "grids"
MAPS: Final = "maps"

GRID_SIDES: Final = (1, 2, 3)
"""Cells of a side of each grid (Azizpour et al. 2014)."""

MOST_VALUES: Final = 100_352
"""What a layer of whole maps has at most: the last maps of VGG, 14 x 14 of 512 units, just fit."""


class MapShape(NamedTuple):
    """The maps of a layer."""

    units: int
    side: int  # places of a side of a map; 0 for a layer without maps

    @property
    def step(self) -> int:
        """Places of a side of the squares that are averaged to one cell of a whole map.

        The least with which a layer has at most ``MOST_VALUES`` values; 1 keeps maps as they are.
        """
        steps = range(1, self.side + 1)
        fits = (step for step in steps if self.units * (-(-self.side // step)) ** 2 <= MOST_VALUES)
        return next(fits, max(1, self.side))

    @property
    def cells(self) -> int:
        """Cells of a side of a whole map; 0 for a layer without maps."""
        return -(-self.side // self.step)

    @property
    def grids(self) -> tuple[int, ...]:
        """The grids that a map has a place for in every cell."""
        return tuple(side for side in GRID_SIDES if side <= self.side)

"""How far maps are averaged, and which grids fit into them."""

from __future__ import annotations

import pytest

from kdsspark.network.map_shape import MapShape


@pytest.mark.parametrize(
    ("units", "side", "step", "cells"),
    [
        (512, 14, 1, 14),  # VGG's last maps
        (2048, 7, 1, 7),  # ResNet-50's
        (256, 13, 1, 13),  # AlexNet's
        (64, 224, 6, 38),  # VGG's first: 3.2 million values
        (64, 111, 3, 37),
        (128, 55, 2, 28),
        (4096, 0, 1, 0),  # fully connected
        (200_000, 2, 2, 1),  # more units than values are allowed
    ],
)
def test_maps_have_at_most_so_many_values(units: int, side: int, step: int, cells: int) -> None:
    shape = MapShape(units, side)
    assert (shape.step, shape.cells) == (step, cells)
    assert units * cells**2 <= 100_352 or cells == 1


def test_a_grid_fits_into_its_map() -> None:
    assert [MapShape(1, side).grids for side in range(5)] == [
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 3),
    ]

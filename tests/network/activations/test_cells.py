"""Maps cut into cells, against plain loops over numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kdsspark.network import map_shape
from kdsspark.network.activations import pool
from kdsspark.network.map_shape import MapShape

FORMS = [  # shape, axis of the units, layout
    ((2, 4, 7, 7), 1, torch.contiguous_format),
    ((2, 4, 6, 6), 1, torch.channels_last),
    ((2, 7, 7, 4), 3, torch.contiguous_format),  # Swin
    ((2, 4, 2, 2), 1, torch.channels_last),
    ((2, 4, 1, 1), 1, torch.contiguous_format),
]


def _maps(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> torch.Tensor:
    values = np.random.default_rng(0).normal(size=shape)
    return torch.tensor(values, dtype=dtype).contiguous(memory_format=layout)


def _grids(maps: np.ndarray) -> np.ndarray:
    """[views, cells, units], cell by cell."""
    cells, side = [], maps.shape[2]
    for n in (n for n in (1, 2, 3) if n <= side):
        cuts = [slice(i * side // n, math.ceil((i + 1) * side / n)) for i in range(n)]
        for of in (np.mean, np.max):
            cells += [of(maps[:, :, y, x], axis=(2, 3)) for y in cuts for x in cuts]
    return np.stack(cells, axis=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("shape", "axis", "layout"), FORMS)
def test_grids_are_means_and_maxima_of_their_cells(
    shape: tuple[int, ...], axis: int, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    maps = _maps(shape, dtype, layout)
    found = pool(maps, axis, "grids")
    assert found.dtype == torch.float32
    expected = _grids(np.moveaxis(maps.float().numpy(), axis, 1))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def _averaged(maps: np.ndarray, step: int) -> np.ndarray:
    side = maps.shape[2]
    cuts = [slice(start, start + step) for start in range(0, side, step)]
    cells = [maps[:, :, y, x].mean(axis=(2, 3)) for y in cuts for x in cuts]
    return np.stack(cells, axis=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("most", [10_000, 64, 36, 4, 3])
@pytest.mark.parametrize(("shape", "axis", "layout"), FORMS)
def test_whole_maps_are_averaged_as_far_as_needed_with_their_maxima_behind(
    shape: tuple[int, ...],
    axis: int,
    layout: torch.memory_format,
    most: int,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(map_shape, "MOST_VALUES", most)
    maps = _maps(shape, dtype, layout)
    found = pool(maps, axis, "maps")
    assert found.dtype == torch.float32
    plain = np.moveaxis(maps.float().numpy(), axis, 1)
    side = plain.shape[2]
    step = next((s for s in range(1, side + 1) if 4 * math.ceil(side / s) ** 2 <= most), side)
    expected = np.concatenate([_averaged(plain, step), plain.max(axis=(2, 3))[..., None]], 2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert MapShape(4, side)[1:] == (side,)
    assert (MapShape(4, side).step, MapShape(4, side).cells ** 2) == (step, found.shape[2] - 1)


@pytest.mark.parametrize("pooling", ["grids", "maps"])
def test_a_later_in_place_operation_changes_nothing(pooling: str) -> None:
    maps = torch.randn(2, 3, 4, 4)
    found = pool(maps, 1, pooling)
    before = found.clone()
    maps.relu_()
    assert torch.equal(found, before)


@pytest.mark.parametrize("pooling", ["grids", "maps"])
@pytest.mark.parametrize(("shape", "axis"), [((2, 5), 1), ((2, 6, 3), 2)])
def test_what_has_no_maps_is_pooled_by_its_mean(
    shape: tuple[int, ...], axis: int, pooling: str
) -> None:
    values = torch.randn(shape)
    torch.testing.assert_close(pool(values, axis, pooling), pool(values, axis, "mean"))

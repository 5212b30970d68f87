"""Maps cut into cells, for questions of where in its map a unit fires (arithmetic on tensors)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d

from kdsspark.network.map_shape import GRIDS, MapShape


def pool_cells(maps: Tensor, pooling: str) -> Tensor:
    """Pool maps [views, units, height, width], square ones, to float32, always a new tensor.

    ``grids``: [views, cells, units], for each grid of 1 x 1, 2 x 2 and 3 x 3 that fits into the map
    first the mean of its cells, row by row, then their maximum (Azizpour et al. 2014). Where a side
    is no multiple of the grid's, neighbouring cells share a row or column of places, as PyTorch's
    adaptive pooling has it.

    ``maps``: [views, units, cells + 1], the map row by row, then its maximum over all places. Maps
    with too many values are averaged over squares (:class:`MapShape`), of which those at the right
    and lower edge may be narrower; the maximum is that of the map before.
    """
    maps = maps.to(torch.float32)
    shape = MapShape(maps.shape[1], maps.shape[2])
    if pooling == GRIDS:
        cells = [
            pool(maps, side).flatten(2)
            for side in shape.grids
            for pool in (adaptive_avg_pool2d, adaptive_max_pool2d)
        ]
        return torch.cat(cells, 2).transpose(1, 2).contiguous()
    averaged = avg_pool2d(maps, shape.step, ceil_mode=True) if shape.step > 1 else maps
    return torch.cat([averaged.flatten(2), maps.amax((2, 3))[..., None]], 2)

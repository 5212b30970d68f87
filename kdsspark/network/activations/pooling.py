"""An activation of one view becomes one number per unit (arithmetic on tensors).

The activations of vision transformers are tokens: those of the patches, row by row, and in front of
them the class token and registers, which have no place in the image. They are left out of means and
maxima. ``tokens`` says which are read:

========  ===========================================================
tokens    units
========  ===========================================================
mean      each is pooled over the patches
cls       each is that of the class token
cls+mean  those of the class token, then again each over the patches
========  ===========================================================
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from kdsspark.network.activations.cells import pool_cells
from kdsspark.network.map_shape import GRIDS, MAPS
from kdsspark.network.spec import Tokens

PEAK: Final = "peak"
"""The pooling that keeps where in its map a unit is highest, and how high."""

WHOLE: Final = "whole"
"""The pooling that is none: every value of the activation is kept."""


def pool(
    activation: Tensor, axis: int, pooling: str, prefix: int = 0, tokens: Tokens = "mean"
) -> Tensor:
    """Reduce an activation [views, ...] to float32 [views, units], always a new tensor.

    ``axis`` numbers the units. ``pooling`` (``mean``, accumulated in float32, or ``max``) is over
    all other axes but the views (paper section 3: the spatial average of a filter's map).
    ``peak`` gives [views, units, 3]: the maximum, and the row and column of the map where it is
    first, in row-major order. With tokens the row is 0, and the column counts all of them; without
    a map both are -1. ``whole`` gives the activation as it is, in float32. ``grids`` and ``maps``
    keep more of a map (:func:`.cells.pool_cells`); what has no map is pooled by its mean.

    The first ``prefix`` tokens of [views, tokens, units] are not of patches, and the very first is
    the class token unless ``tokens`` is ``mean``.
    """
    if pooling in (GRIDS, MAPS) and activation.ndim == 4:
        return pool_cells(activation.movedim(axis, 1), pooling)
    if not prefix:
        return _pool(activation, axis, pooling)
    parts = []
    if tokens != "mean":
        parts.append(_pool(activation[:, :1], axis, pooling))
    if tokens != "cls":
        patches = _pool(activation[:, prefix:], axis, pooling)
        if pooling == PEAK:
            patches[..., 2] += prefix
        parts.append(patches)
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def _pool(activation: Tensor, axis: int, pooling: str) -> Tensor:
    if pooling == PEAK:
        return _peaks(activation.movedim(axis, -1))
    others = [other for other in range(1, activation.ndim) if other != axis]
    if not others or pooling == WHOLE:
        return activation.to(torch.float32, copy=True)  # an in-place ReLU overwrites its input
    if pooling == "max":
        return activation.amax(others).to(torch.float32)
    if activation.device.type == "cpu" and activation.dtype != torch.float32:
        # View by view, because torch copies to float32 first, and the copy should stay in cache.
        over = [other - 1 for other in others]
        return torch.stack([view.mean(over, dtype=torch.float32) for view in activation])
    return activation.mean(others, dtype=torch.float32)


def _peaks(maps: Tensor) -> Tensor:
    """Float32 [views, units, 3] of maps [views, ..., units]: the highest value, its row, column.

    Row by row, because torch finds the places of maxima far more slowly than maxima.
    """
    if maps.ndim == 2:
        found = maps, torch.full_like(maps, -1), torch.full_like(maps, -1)
    else:
        rows = maps if maps.ndim == 4 else maps[:, None]
        value, y = rows.amax(2).max(1)  # the first of equal ones
        views, units = (torch.arange(n, device=maps.device) for n in y.shape)
        row = rows[views[:, None], y, :, units]  # [views, units, width]
        found = value, y, row.max(2)[1]
    return torch.stack([part.to(torch.float32) for part in found], 2)


def over_views(pooled: Tensor, images: int, pooling: str) -> Tensor:
    """Pooled activations [images x views, units, ...] of all views -> one row an image.

    [images, units, ...], the mean over the views. For ``peak``: [images, units, 4], those of the
    view with the highest maximum, and which view that is, the first of equal ones.
    """
    views = pooled.view(images, -1, *pooled.shape[1:])
    if pooling != PEAK:
        return views.mean(1)
    best = views[..., 0].argmax(1)
    chosen = views.gather(1, best[:, None, :, None].expand(-1, 1, -1, 3)).squeeze(1)
    return torch.cat([chosen, best[..., None].to(torch.float32)], 2)

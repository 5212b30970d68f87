"""The deconvnet written out step by step: what projections are tested against."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models.resnet import BasicBlock
from torchvision.models.squeezenet import Fire

from kdsspark.network.projections import Projector

Image = NDArray[np.uint8]
Down = Callable[[Tensor], Tensor]
Unpool = Callable[[Tensor, Tensor, nn.MaxPool2d, Sequence[int]], Tensor]


def noise(crop: int, number: int = 1) -> list[Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (number, crop, crop, 3))
    return list(pixels.astype(np.uint8))


def normal(images: Sequence[Image]) -> Tensor:
    """As ImageNet's networks take them."""
    pixels = torch.tensor(np.stack(images)).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def close(found: NDArray[np.float32], expected: Tensor) -> None:
    assert found.dtype == np.float32
    wanted = expected.detach().numpy()
    scale = np.abs(wanted).max()
    assert scale > 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)


def added_up(maps: Tensor, places: Tensor, _: nn.MaxPool2d, size: Sequence[int]) -> Tensor:
    """A place that several windows have recorded gets the sum of their values."""
    above = np.zeros((maps.shape[1], size[0] * size[1]), np.float32)
    for channel, values in enumerate(maps[0].detach().numpy()):
        np.add.at(above[channel], places[0, channel].numpy().ravel(), values.ravel())
    return torch.from_numpy(above).view(1, -1, *size)


def plain(maps: Tensor, places: Tensor, pool: nn.MaxPool2d, size: Sequence[int]) -> Tensor:
    """A place gets one of the values."""
    kernel, stride, padding = pool.kernel_size, pool.stride, pool.padding
    return F.max_unpool2d(maps, places, kernel, stride, padding, list(size))


class Deconvnet:
    """Up through a network step by step, and down again."""

    def __init__(self, images: Sequence[Image], unpool: Unpool = added_up) -> None:
        self.maps = normal(images)
        self.unpool = unpool
        self.downs: list[Down] = []

    def conv(self, layer: nn.Conv2d) -> None:
        size = self.maps.shape[-2:]
        self.maps = layer(self.maps)
        self.downs.append(lambda maps: transposed(maps, layer, size))

    def relu(self) -> None:
        self.maps = self.maps.clamp(min=0)
        self.downs.append(lambda maps: maps.clamp(min=0))

    def pool(self, layer: nn.MaxPool2d) -> None:
        size = self.maps.shape[-2:]
        settings = layer.kernel_size, layer.stride, layer.padding, 1, layer.ceil_mode
        self.maps, places = F.max_pool2d_with_indices(self.maps, *settings)
        self.downs.append(lambda maps: self.unpool(maps, places, layer, size))

    def norm(self, layer: nn.BatchNorm2d) -> None:
        assert layer.running_var is not None
        scale = (layer.weight / (layer.running_var + layer.eps).sqrt()).view(-1, 1, 1)
        self.maps = layer(self.maps)
        self.downs.append(lambda maps: maps * scale)

    def fire(self, fire: Fire) -> None:
        self.conv(fire.squeeze)
        self.relu()
        size = self.maps.shape[-2:]
        parts = fire.expand1x1, fire.expand3x3
        self.maps = torch.cat([part(self.maps).clamp(min=0) for part in parts], 1)

        def down(maps: Tensor) -> Tensor:
            halves = maps.clamp(min=0).chunk(2, 1)
            one, three = (
                transposed(half, part, size) for half, part in zip(halves, parts, strict=True)
            )
            return one + three

        self.downs.append(down)

    def block(self, block: BasicBlock) -> None:
        inner, short = self._branch(), self._branch()
        inner.conv(block.conv1)
        inner.norm(block.bn1)
        inner.relu()
        inner.conv(block.conv2)
        inner.norm(block.bn2)
        if block.downsample is not None:
            short.conv(block.downsample[0])
            short.norm(block.downsample[1])
        self.maps = inner.maps + short.maps
        self.downs.append(lambda maps: inner.down(maps) + short.down(maps))
        self.relu()

    def _branch(self) -> Deconvnet:
        branch = copy.copy(self)
        branch.downs = []
        return branch

    def down(self, maps: Tensor) -> Tensor:
        for down in reversed(self.downs):
            maps = down(maps)
        return maps

    def largest(self, n: int) -> list[int]:
        """The units with the highest maxima."""
        units: list[int] = self.maps.amax((0, 2, 3)).topk(n).indices.tolist()
        return units

    def project(self, unit: int) -> tuple[Tensor, tuple[int, int]]:
        """The projection [3, height, width] of a unit's maximum, and its place."""
        y, x = divmod(int(self.maps[0, unit].argmax()), self.maps.shape[-1])
        alone = torch.zeros_like(self.maps)
        alone[0, unit, y, x] = self.maps[0, unit, y, x]
        return self.down(alone)[0].detach(), (y, x)

    def check(self, found: Projector, images: Sequence[Image], layer: str, n: int = 4) -> None:
        """All of them in one call, and each is what its unit has."""
        units = self.largest(n)
        expected, places = zip(*map(self.project, units), strict=True)
        projections = found(images * n, layer, units, places)
        for projection, one in zip(projections, expected, strict=True):
            close(projection, one)


def transposed(maps: Tensor, layer: nn.Conv2d, size: Sequence[int]) -> Tensor:
    """Transposed filters without bias, to maps of a size."""
    assert not isinstance(layer.padding, str)
    steps = zip(maps.shape[-2:], layer.stride, layer.padding, layer.kernel_size, strict=True)
    least = [(n - 1) * stride - 2 * padding + kernel for n, stride, padding, kernel in steps]
    more = [n - m for n, m in zip(size, least, strict=True)]
    return F.conv_transpose2d(maps, layer.weight, None, layer.stride, layer.padding, more)

"""What the package might do on a card, and does not yet: for part b to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from kdsspark.network import crops
from kdsspark.network.crop_sharing import overlap, sharing
from kdsspark.network.crop_sharing.overlap import SharedMaps
from kdsspark.network.crop_sharing.prefix import Block
from kdsspark.network.crops import VIEWS

_TEN: Final = VIEWS["ten"]


class Together:
    """Shared crops of images of one size, all in the same calls.

    :class:`sharing.Shared` takes image after image, in a thousand small kernels each. Here maps
    are [places x images, channels, height, width], and a place's index counts the images' blocks.
    """

    def __init__(self, shared: sharing.Shared, images: int) -> None:
        self._shared, self._images = shared, images
        self._counts: dict[tuple[object, ...], Tensor] = {}

    def __call__(self, pairs: Tensor) -> list[Tensor]:
        """Float32 [images, units] per layer; ``pairs`` are the images, then their mirrors."""
        means: dict[int, Tensor] = {}
        shared, images = self._shared, self._images
        views = self._blocks(pairs, means)
        outputs = shared.body.module(views)
        for layer, output in zip(shared.body.layers, outputs, strict=False):
            means[layer] = output.view(_TEN, images, -1).mean(0)
        if shared.head is not None:
            for layer, output in zip(
                shared.head.layers, shared.head.module(outputs[-1]), strict=True
            ):
                means[layer] = output.view(_TEN, images, -1).mean(0)
        return [means[layer] for layer in sorted(means)]

    def _blocks(self, pairs: Tensor, means: dict[int, Tensor]) -> Tensor:
        height, width = pairs.shape[2:]
        side, ring = self._shared.size, 0
        edges = overlap.borders(height, width, side)
        views = self._views(pairs, side)
        first, second = overlap.wholes(pairs[:2], side)
        mirrored = tuple(replace(place, index=1) for place in second.places)
        wholes = [SharedMaps(pairs, (*first.places, *mirrored))]
        for number, block in enumerate(self._shared.blocks):
            strips = self._strips(views, edges, sharing._strip_width(block, ring))
            parts = []
            for i, part in enumerate([*wholes, *strips]):
                key = (height, width, number, i)
                parts.append(self._run(block, part, side, ring, means, key))
            wholes, strips = parts[: len(wholes)], parts[len(wholes) :]
            wholes = [half for part in wholes for half in overlap.halve_whole(part, side)]
            strips = [overlap.halve_strips(part) for part in strips]
            side, ring = side // 2, sharing._ring_behind(block, ring)
            views = self._assembled([*wholes, *strips], side, ring)
        return views

    def _run(
        self,
        block: Block,
        part: SharedMaps,
        side: int,
        ring: int,
        means: dict[int, Tensor],
        key: tuple[object, ...],
    ) -> SharedMaps:
        for number, step in enumerate(block.steps):
            part = SharedMaps(step.module(part.maps), part.places)
            ring += step.reach
            if not step.layers:
                continue
            sums = self._sums(part, side, ring, (*key, number)) / (_TEN * side**2)
            for layer in step.layers:
                means[layer] = means[layer] + sums if layer in means else sums
        return part

    def _sums(self, part: SharedMaps, side: int, ring: int, key: tuple[object, ...]) -> Tensor:
        """Float32 [images, channels]: each pixel as often as views have it."""
        images = self._images
        rows = part.maps.permute(0, 2, 3, 1)
        n, height, width, channels = rows.shape
        if key not in self._counts:
            one = SharedMaps(part.maps[::images], part.places)
            counts = overlap.weights(one, side, ring).mul_(_TEN * side**2).round_()
            repeated = counts.repeat_interleave(images, 0).to(part.maps.dtype)
            self._counts[key] = repeated.reshape(n * height, 1, width)
        rows = rows.reshape(n * height, width, channels)
        sums = products(self._counts[key], rows)
        return sums.view(-1, images, height, channels).sum((0, 2))

    def _views(self, pairs: Tensor, side: int) -> Tensor:
        corners = crops.five(pairs.shape[2], pairs.shape[3], side)
        cut = [
            half[:, :, top : top + side, left : left + side]
            for half in pairs.unflatten(0, (2, self._images))
            for top, left in corners
        ]
        return torch.cat(cut).contiguous(memory_format=torch.channels_last)

    def _strips(
        self, views: Tensor, edges: Sequence[overlap.Border], width: int
    ) -> list[SharedMaps]:
        # Where the strips lie does not depend on how many images there are.
        parts = overlap.strips(views[:: self._images], edges, width)
        every = views.unflatten(0, (_TEN, self._images))
        found = []
        for part in parts:
            height, wide = part.maps.shape[2:]
            cut = [
                every[p.view, :, :, -p.top : height - p.top, -p.left : wide - p.left]
                for p in part.places
            ]
            maps = torch.cat(cut).contiguous(memory_format=torch.channels_last)
            found.append(SharedMaps(maps, part.places))
        return found

    def _assembled(self, parts: Sequence[SharedMaps], side: int, ring: int) -> Tensor:
        like = parts[0].maps
        shape = (_TEN * self._images, like.shape[1], side, side)
        views = like.new_empty(shape).contiguous(memory_format=torch.channels_last)
        every = views.unflatten(0, (_TEN, self._images))
        for part in parts:
            maps = part.maps.unflatten(0, (-1, self._images))
            for place in part.places:
                held = maps[place.index, :, :, *place.in_maps(side, ring)]
                every[place.view, :, :, *place.in_view(side, ring)] = held
        return views


def products(a: Tensor, b: Tensor) -> Tensor:
    """The products of a batch of matrices, in float32."""
    if a.is_cuda and a.dtype != torch.float32:
        return torch.bmm(a, b, out_dtype=torch.float32)
    return torch.bmm(a.float(), b.float())

"""Ten crops of an image whose first blocks are computed once where the crops overlap.

Five crops of a photograph cover each of its pixels about three times. Therefore each of the first
blocks (:mod:`prefix`) is computed on the whole image, on its mirror, and on narrow strips of the
crops. The crops' maps for the next block are put together from these (:mod:`overlap`): their rings
from the strips, the rest from the whole. Strips are cut from the crops' own maps, so that their
outer edges are padded as the crops are. They are so wide that the pixels which their inner edges
spoil are not used. A ring grows by one pixel with every 3 x 3 convolution, and a pooling halves it.

A layer's mean over the views is a weighted sum over these maps. The linear layers are computed
for all images together, since reading their weights takes longer than multiplying by them.

All features equal those of separate crops up to rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, fx

from kdsspark.network.crop_sharing import overlap, prefix
from kdsspark.network.crop_sharing.overlap import SharedMaps
from kdsspark.network.crop_sharing.prefix import Block, Stretch
from kdsspark.network.spec import NetworkSpec

# Blocks are shared while the side of a crop is at least this many times the width of their strips:
# two blocks of VGG16. Sharing a third takes longer than it saves.
_SIDE_PER_STRIP: Final = 16
# Crops share work in images of up to this many times their area. In longer images they hardly
# overlap.
_IMAGE_PER_CROP: Final = 4
# Pixels summed one after the other, before such sums are added up: few, because a long sum of
# float32 loses digits (a white background of 87,000 pixels lost four), and they stay in the cache.
_PIXELS: Final = 512

_Means = dict[int, Tensor]  # float32 [units] by a layer's position


@dataclass(frozen=True)
class Shared:
    """A network in three stretches: blocks that crops share, maps of views, linear layers."""

    size: int  # of a crop, in pixels
    blocks: tuple[Block, ...]
    body: Stretch
    head: Stretch | None
    whole: fx.GraphModule  # the network as it was, for views that share nothing

    def __call__(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Float32 [images, units] per layer, averaged over the ten views of each image.

        Each of ``images`` is [image and mirror, channels, height, width], normalised.
        """
        features = self._features(images)
        # Sharing also computes pixels that no crop has, and 0 x infinity is no number.
        finite = torch.stack([layer.isfinite().all(1) for layer in features]).all(0)
        for row in finite.logical_not().nonzero()[:, 0].tolist():
            outputs = self.whole(overlap.ten(images[row], self.size))
            for layer, output in zip(features, outputs, strict=True):
                layer[row] = output.mean(0)
        return features

    def _features(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The features as sharing gives them, not finite if any pixel that is computed is not."""
        found = [self._maps(image) for image in images]
        means = [found_means for found_means, _ in found]
        features = {i: torch.stack([mean[i] for mean in means]) for i in means[0]}
        if self.head is not None:
            outputs = self.head.module(torch.cat([inputs for _, inputs in found]))
            for layer, output in zip(self.head.layers, outputs, strict=True):
                features[layer] = output.view(len(images), -1, output.shape[1]).mean(1)
        return [features[layer] for layer in sorted(features)]

    def _maps(self, image: Tensor) -> tuple[_Means, Tensor]:
        """The means of all layers but the head's, and the head's input (else an empty tensor)."""
        means: _Means = defaultdict(lambda: torch.zeros((), device=image.device))
        views = self._blocks(image, means)
        outputs = self.body.module(views)
        for layer, output in zip(self.body.layers, outputs, strict=False):
            means[layer] = output.mean(0)
        return means, outputs[-1]

    def _blocks(self, image: Tensor, means: _Means) -> Tensor:
        """The views' maps behind the blocks; adds the blocks' layers to ``means``."""
        height, width = image.shape[2:]
        side, ring = self.size, 0
        edges = overlap.borders(height, width, side)
        views, wholes = overlap.ten(image, side), overlap.wholes(image, side)
        for block in self.blocks:
            strips = overlap.strips(views, edges, _strip_width(block, ring))
            if height * width > _IMAGE_PER_CROP * self.size**2:
                wholes, strips = [], [overlap.separate(views)]
            wholes = [_run(block, part, side, ring, means) for part in wholes]
            strips = [_run(block, part, side, ring, means) for part in strips]
            wholes = [half for part in wholes for half in overlap.halve_whole(part, side)]
            strips = [overlap.halve_strips(part) for part in strips]
            side, ring = side // 2, _ring_behind(block, ring)
            views = overlap.assemble([*wholes, *strips], side, ring)
        return views


def split(reader: fx.GraphModule, spec: NetworkSpec) -> Shared | None:
    """Rewrite ``reader`` (of :func:`activations.read`) so that ten crops of an image share work.

    None if the features of ``spec`` are not means over ten crops, if the network does not begin
    with blocks, or if sharing them would not save time.
    """
    if spec.crops != "ten" or spec.pooling != "mean":
        return None
    blocks: list[Block] = []
    side, ring = spec.preprocessing.crop, 0
    for block, node in prefix.find_blocks(reader):
        width = _strip_width(block, ring)
        if side % 2 or not 0 < width * _SIDE_PER_STRIP <= side:
            break
        blocks.append(block)
        end = node
        side, ring = side // 2, _ring_behind(block, ring)
    if not blocks:
        return None
    return Shared(spec.preprocessing.crop, tuple(blocks), *prefix.stretches(reader, end), reader)


def _ring_behind(block: Block, ring: int) -> int:
    """Width of the ring behind the block and its pooling; ``ring`` is the width in front."""
    return (ring + block.reach + 1) // 2


def _strip_width(block: Block, ring: int) -> int:
    """Width of a strip: the ring that the pooling takes, and what the inner edge spoils; even."""
    width = 2 * _ring_behind(block, ring) + block.reach
    return width + width % 2


def _run(block: Block, part: SharedMaps, side: int, ring: int, means: _Means) -> SharedMaps:
    """The maps in front of the block's pooling; adds their share of each layer to ``means``."""
    for step in block.steps:
        part = SharedMaps(step.module(part.maps), part.places)
        ring += step.reach
        for layer in step.layers:
            means[layer] = means[layer] + _sum(part.maps, overlap.weights(part, side, ring))
    return part


def _sum(maps: Tensor, weights: Tensor) -> Tensor:
    """Float32 [channels]: the weighted sum over all maps and pixels, accumulated in float32."""
    pixels = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    parts = zip(
        torch.split(weights.reshape(-1), _PIXELS), torch.split(pixels, _PIXELS), strict=True
    )
    return torch.stack([weight @ part.to(torch.float32) for weight, part in parts]).sum(0)

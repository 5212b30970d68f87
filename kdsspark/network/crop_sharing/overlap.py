"""Which pixels the maps of a whole image share with the maps of its crops.

The ten views of an image are five crops of it and five of its mirror. A crop's maps differ from
the image's maps only in a *ring* at the crop's border, a few pixels wide, which its zero padding
has reached. Edges that the crop shares with the image have no ring. Along the other edges,
*strips* of the crop are computed apart, which have the ring right.

A place is the rectangle of a view that maps hold. Its ends depend on the side of the crop and on
the width of the ring, which change from layer to layer; the place does not change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import Tensor

from kdsspark.network import crops

_VIEWS: Final = crops.VIEWS["ten"]


class Span(NamedTuple):
    """Part of a crop's side. Each end is (a, b): a sides plus b rings from the side's start."""

    start: tuple[int, int]
    stop: tuple[int, int]

    def at(self, side: int, ring: int, offset: int = 0) -> slice:
        """The span in pixels, if the side starts at pixel ``offset``."""
        start, stop = (offset + a * side + b * ring for a, b in self)
        return slice(start, stop)


_ALL: Final = Span((0, 0), (1, 0))
_FIRST: Final = Span((0, 0), (0, 1))  # the ring at the beginning of the side
_LAST: Final = Span((1, -1), (1, 0))


class Border(NamedTuple):
    """Which edges of a crop lie within the image, and therefore have a ring."""

    top: bool
    bottom: bool
    left: bool
    right: bool

    @property
    def rows(self) -> Span:
        """The rows between the rings."""
        return Span((0, int(self.top)), (1, -int(self.bottom)))

    @property
    def columns(self) -> Span:
        """The columns between the rings."""
        return Span((0, int(self.left)), (1, -int(self.right)))


@dataclass(frozen=True)
class Place:
    """A rectangle of a view whose values maps hold."""

    view: int
    index: int  # along the first axis of the maps
    top: int  # the view's corner in the maps, in pixels; below 0 if the maps begin in the view
    left: int
    rows: Span
    columns: Span

    def in_view(self, side: int, ring: int) -> tuple[slice, slice]:
        """The rectangle in the view."""
        return self.rows.at(side, ring), self.columns.at(side, ring)

    def in_maps(self, side: int, ring: int) -> tuple[slice, slice]:
        """The same rectangle in the maps."""
        return self.rows.at(side, ring, self.top), self.columns.at(side, ring, self.left)


@dataclass(frozen=True)
class SharedMaps:
    """Maps [images or strips, channels, height, width], and the parts of the views they hold."""

    maps: Tensor
    places: tuple[Place, ...]


def ten(images: Tensor, size: int) -> Tensor:
    """The views [views, channels, size, size] of an image, in the order of :func:`crops.views`.

    ``images`` are the image and its mirror [2, channels, height, width].
    """
    corners = crops.five(images.shape[2], images.shape[3], size)
    cut = [
        image[:, top : top + size, left : left + size] for image in images for top, left in corners
    ]
    return _stack(cut)


def borders(height: int, width: int, size: int) -> list[Border]:
    """The borders of the views of an image of ``height`` x ``width`` pixels."""
    corners = crops.five(height, width, size)
    five = [
        Border(top > 0, top + size < height, left > 0, left + size < width) for top, left in corners
    ]
    return 2 * five


def wholes(images: Tensor, size: int) -> list[SharedMaps]:
    """One part for the image and one for its mirror; ``images`` are both [2, channels, ...]."""
    height, width = images.shape[2:]
    corners, edges = 2 * crops.five(height, width, size), borders(height, width, size)
    places = [
        Place(view, 0, top, left, border.rows, border.columns)
        for view, ((top, left), border) in enumerate(zip(corners, edges, strict=True))
    ]
    half = len(places) // 2
    return [
        SharedMaps(images[:1], tuple(places[:half])),
        SharedMaps(images[1:], tuple(places[half:])),
    ]


def strips(views: Tensor, edges: Sequence[Border], width: int) -> list[SharedMaps]:
    """Strips of the views, ``width`` pixels wide, along the edges that have a ring.

    ``views`` are [views, channels, side, side]. Lying strips are one part, standing ones another.
    """
    far = views.shape[-1] - width
    lying: list[tuple[Tensor, Place]] = []
    standing: list[tuple[Tensor, Place]] = []
    for view, border in enumerate(edges):
        for edge, at, ring in ((border.top, 0, _FIRST), (border.bottom, far, _LAST)):
            if edge:
                place = Place(view, len(lying), -at, 0, ring, _ALL)
                lying.append((views[view, :, at : at + width], place))
        for edge, at, ring in ((border.left, 0, _FIRST), (border.right, far, _LAST)):
            if edge:
                place = Place(view, len(standing), 0, -at, border.rows, ring)
                standing.append((views[view, :, :, at : at + width], place))
    return [
        SharedMaps(_stack([maps for maps, _ in cut]), tuple(place for _, place in cut))
        for cut in (lying, standing)
        if cut
    ]


def separate(views: Tensor) -> SharedMaps:
    """The views themselves [views, channels, side, side], as one part with no ring missing."""
    return SharedMaps(views, tuple(Place(i, i, 0, 0, _ALL, _ALL) for i in range(len(views))))


def halve_strips(part: SharedMaps) -> SharedMaps:
    """The strips, max-pooled 2 x 2; they must begin and end at even pixels of their views."""
    places = tuple(replace(p, top=p.top // 2, left=p.left // 2) for p in part.places)
    return SharedMaps(_halve(part.maps), places)


def halve_whole(part: SharedMaps, side: int) -> list[SharedMaps]:
    """The maps, max-pooled 2 x 2: one part for crops that begin at even pixels, others for odd.

    Each part is only as large as the crops that it is for.
    """
    groups = defaultdict(list)
    for place in part.places:
        groups[place.top % 2, place.left % 2].append(place)
    return [_halve_for(part.maps, places, side) for places in groups.values()]


def _halve_for(maps: Tensor, places: Sequence[Place], side: int) -> SharedMaps:
    tops, lefts = [p.top for p in places], [p.left for p in places]
    top, left = min(tops), min(lefts)
    halved = _halve(maps[:, :, top : max(tops) + side, left : max(lefts) + side])
    moved = [replace(p, top=(p.top - top) // 2, left=(p.left - left) // 2) for p in places]
    return SharedMaps(halved, tuple(moved))


def _halve(maps: Tensor) -> Tensor:
    # Half the time of torch's max pooling on a CPU, which also records where each maximum is.
    rows = torch.maximum(maps[:, :, ::2], maps[:, :, 1::2])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def assemble(parts: Sequence[SharedMaps], side: int, ring: int) -> Tensor:
    """The maps of all views [views, channels, side, side], put together from parts."""
    like = parts[0].maps
    shape = (_VIEWS, like.shape[1], side, side)
    views = torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )
    for part in parts:
        for place in part.places:
            held = part.maps[place.index, :, *place.in_maps(side, ring)]
            views[place.view, :, *place.in_view(side, ring)] = held
    return views


def weights(part: SharedMaps, side: int, ring: int) -> Tensor:
    """The weight of each pixel of the maps in the mean over all views and pixels.

    Float32 [images or strips, height, width]: the number of places that contain the pixel, divided
    by the number of pixels of all views.
    """
    maps = part.maps
    counts = torch.zeros(maps.shape[0], *maps.shape[2:], device=maps.device)
    for place in part.places:
        counts[place.index, *place.in_maps(side, ring)] += 1
    return counts.div_(_VIEWS * side**2)


def _stack(maps: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(maps)).contiguous(memory_format=torch.channels_last)

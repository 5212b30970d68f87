from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.network.crop_sharing import overlap
from kdsspark.network.crop_sharing.overlap import Border, Place, SharedMaps, Span

SIDE, RING = 8, 2
SIZES = st.tuples(st.integers(SIDE, 3 * SIDE), st.integers(SIDE, 3 * SIDE))


def pair(height: int, width: int) -> Tensor:
    """An image and its mirror; no two of its pixels are equal."""
    image = torch.arange(3.0 * height * width).view(3, height, width)
    return torch.stack([image, F.hflip(image)])


def ten_crops(images: Tensor) -> Tensor:
    return torch.stack(F.ten_crop(images[0], [SIDE, SIDE]))


def test_spans_are_counted_in_sides_and_rings() -> None:
    last_ring = Span((1, -1), (1, 0))
    assert last_ring.at(side=8, ring=2) == slice(6, 8)
    assert last_ring.at(side=8, ring=2, offset=5) == slice(11, 13)


def test_rings_lie_along_the_edges_within_the_image() -> None:
    border = Border(top=True, bottom=False, left=False, right=True)
    assert (border.rows.at(8, 2), border.columns.at(8, 2)) == (slice(2, 8), slice(0, 6))


@given(SIZES)
def test_borders_are_the_edges_that_are_not_the_images(size: tuple[int, int]) -> None:
    height, width = size
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width).expand(height, width)
    crops = F.five_crop(torch.stack([rows, columns]), [SIDE, SIDE])
    expected = [
        Border(
            top=bool(crop[0].min() > 0),
            bottom=bool(crop[0].max() < height - 1),
            left=bool(crop[1].min() > 0),
            right=bool(crop[1].max() < width - 1),
        )
        for crop in crops
    ]
    assert overlap.borders(height, width, SIDE) == 2 * expected


@given(SIZES)
def test_ten_equals_torchvision(size: tuple[int, int]) -> None:
    images = pair(*size)
    assert torch.equal(overlap.ten(images, SIDE), ten_crops(images))


def assert_held(parts: list[SharedMaps], views: Tensor, side: int, ring: int) -> None:
    """Where a place says that maps hold a rectangle of a view, they do."""
    for part in parts:
        for place in part.places:
            held = part.maps[place.index, :, *place.in_maps(side, ring)]
            assert torch.equal(held, views[place.view, :, *place.in_view(side, ring)])


@given(SIZES)
def test_parts_hold_the_views_and_cover_them(size: tuple[int, int]) -> None:
    images = pair(*size)
    views, edges = ten_crops(images), overlap.borders(*size, SIDE)
    parts = [*overlap.wholes(images, SIDE), *overlap.strips(views, edges, 4)]
    assert_held(parts, views, SIDE, RING)
    assert torch.equal(overlap.assemble(parts, SIDE, RING), views)
    separate = [overlap.separate(views)]
    assert_held(separate, views, SIDE, RING)
    assert torch.equal(overlap.assemble(separate, SIDE, RING), views)


@given(SIZES)
def test_halved_parts_hold_the_halved_views(size: tuple[int, int]) -> None:
    images = pair(*size)
    views, edges = ten_crops(images), overlap.borders(*size, SIDE)
    halved = [half for p in overlap.wholes(images, SIDE) for half in overlap.halve_whole(p, SIDE)]
    halved += [overlap.halve_strips(part) for part in overlap.strips(views, edges, 4)]
    expected = functional.max_pool2d(views, 2)
    assert_held(halved, expected, SIDE // 2, RING // 2)
    assert torch.equal(overlap.assemble(halved, SIDE // 2, RING // 2), expected)


@settings(max_examples=30)
@given(SIZES)
def test_weighted_pixels_add_up_to_the_mean_over_all_views(size: tuple[int, int]) -> None:
    images = pair(*size).double()
    views, edges = ten_crops(images), overlap.borders(*size, SIDE)
    total = torch.zeros(3, dtype=torch.float64)
    for part in [*overlap.wholes(images, SIDE), *overlap.strips(views, edges, 4)]:
        weights = overlap.weights(part, SIDE, RING).double()
        total += (part.maps * weights[:, None]).sum((0, 2, 3))
    torch.testing.assert_close(total, views.mean((0, 2, 3)), rtol=1e-6, atol=0)


def test_weights_count_the_places_that_have_a_pixel() -> None:
    everything = Span((0, 0), (1, 0))
    places = (Place(0, 0, 0, 0, everything, everything), Place(1, 0, 1, 2, everything, everything))
    part = SharedMaps(torch.zeros(1, 3, 5, 6), places)
    counts = overlap.weights(part, side=4, ring=0) * 10 * 4 * 4
    expected = torch.zeros(5, 6)
    expected[0:4, 0:4] += 1
    expected[1:5, 2:6] += 1
    torch.testing.assert_close(counts[0], expected)


@pytest.mark.parametrize("width", [2, 4])
def test_strips_are_as_wide_as_asked(width: int) -> None:
    edges = overlap.borders(12, 16, SIDE)
    lying, standing = overlap.strips(ten_crops(pair(12, 16)), edges, width)
    # Ten views: corners have one lying and one standing edge within the image, the centres two.
    assert lying.maps.shape == (12, 3, width, SIDE)
    assert standing.maps.shape == (12, 3, SIDE, width)

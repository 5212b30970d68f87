"""Fields as numbers, against pixels that are followed one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdsspark.network.receptive_fields.geometry import (
    Axis,
    Field,
    Whole,
    Window,
    adaptive_window,
    box,
    slide,
    union,
    windows,
)

CROP = 23
windows_that_fit = st.builds(
    lambda kernel, stride, padding: Window(kernel, stride, min(padding, kernel - 1), 1),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 4),
)


def pixels() -> list[set[int]]:
    """What each location of the crop itself sees."""
    return [{pixel} for pixel in range(CROP)]


def slid(seen: list[set[int]], window: Window) -> list[set[int]]:
    """What each location behind a window sees."""
    locations = (len(seen) + 2 * window.padding - window.kernel) // window.stride + 1
    starts = [i * window.stride - window.padding for i in range(locations)]
    places = [range(start, start + window.kernel) for start in starts]
    return [set().union(*(seen[p] for p in own if 0 <= p < len(seen))) for own in places]


@given(st.lists(windows_that_fit, min_size=1, max_size=3))
def test_windows_in_a_row_see_what_their_pixels_say(row: list[Window]) -> None:
    seen, axis = pixels(), Axis(1, 1, 0, CROP)
    for window in row:
        if len(seen) + 2 * window.padding < window.kernel:
            return
        seen = slid(seen, window)
        axis = slide(axis, window, len(seen))
    for location, own in enumerate(seen):
        first, end = axis.span(location)
        if own:
            assert (first, end) == (min(own), max(own) + 1)


@pytest.mark.parametrize(("before", "after"), [(b, a) for b in range(1, 25) for a in range(1, 13)])
def test_adaptive_windows_are_those_of_torch(before: int, after: int) -> None:
    x = torch.eye(before).reshape(1, before, before)
    weights = nn.functional.adaptive_avg_pool1d(x, after)[0].numpy().T  # [after, before]
    reads = [np.flatnonzero(row).tolist() for row in weights]
    window = adaptive_window(before, after)
    sizes = {len(own) for own in reads}
    steps = set(np.diff([own[0] for own in reads]).tolist())
    assert (window is not None) == (len(sizes) == 1 and len(steps) < 2)
    if window:
        assert {window.kernel} == sizes
        assert {window.stride} >= steps
        assert (window.padding, window.dilation) == (0, 1)


def test_branches_are_joined_where_they_move_alike() -> None:
    narrow, wide = Axis(1, 2, 0, 15), Axis(5, 2, -2, 16)
    assert union([narrow, wide]) == Axis(5, 2, -2, 16)
    assert union([Axis(2, 2, 1, 9), Axis(2, 2, 4, 12)]) == Axis(5, 2, 1, 12)
    assert union([narrow, Axis(1, 1, 0, 15)]) is None


def test_boxes_lie_within_the_crop_and_take_arrays() -> None:
    field = Field(y=Axis(4, 3, -2, 10), x=Axis(5, 2, 0, 12))
    assert box(field, 0, 5, 10, 12) == (10, 0, 12, 2)
    y, x = np.array([0, 3], np.int32), np.array([5, 1], np.int32)
    assert [found.tolist() for found in box(field, y, x, 10, 12)] == [
        [10, 2],
        [0, 7],
        [12, 7],
        [2, 10],
    ]
    assert box(Whole("mixed"), 3, 4, 10, 12) == (0, 0, 12, 10)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Conv2d(3, 2, (3, 5), (2, 1), (1, 2), 2), [(3, 2, 1, 2), (5, 1, 2, 2)]),
        (nn.MaxPool2d(3), [(3, 3, 0, 1)] * 2),
        (nn.AvgPool2d((2, 4), 1, (1, 2)), [(2, 1, 1, 1), (4, 1, 2, 1)]),
        (nn.Conv2d(3, 2, 3, padding="same"), None),
        (nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"), None),
        (nn.Linear(3, 2), None),
        (None, None),
    ],
)
def test_windows_of_modules(
    module: nn.Module | None, expected: list[tuple[int, ...]] | None
) -> None:
    found = windows(module)
    assert (found and [tuple(window) for window in found]) == expected

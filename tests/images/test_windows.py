"""Windows of images: their boxes by the paper, their pixels by torchvision."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import crop, resize

from kdsspark.images.windows import WINDOWS, boxes, short_side, windows


def test_the_areas_are_those_of_the_paper() -> None:
    found = list(boxes(60.0, 120.0))
    areas = Counter(
        Fraction((right - left) * (bottom - top) / 7200).limit_denominator(100)
        for left, top, right, bottom in found
    )
    assert areas == {Fraction(1): 1, Fraction(4, 9): 4, Fraction(1, 4): 9, Fraction(4, 25): 16}
    assert len(found) == WINDOWS == 30
    assert found[0] == (0, 0, 60, 120)
    assert found[1:5] == [(0, 0, 40, 80), (20, 0, 60, 80), (0, 40, 40, 120), (20, 40, 60, 120)]
    assert found[5:8] == [(0, 0, 30, 60), (15, 0, 45, 60), (30, 0, 60, 60)]
    assert found[-1] == (36, 72, 60, 120)


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(120, 60, 3), (97, 131, 3), (20, 30, 3)])
def test_the_pixels_are_those_of_the_image_resized(how: str, shape: tuple[int, int, int]) -> None:
    size = 24
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    expected = []
    for n in (1, 2, 3, 4):
        whole = resize(Image.fromarray(image), [size * (n + 1) // 2] * 2, InterpolationMode(how))
        places = [(size // 2 * y, size // 2 * x) for y in range(n) for x in range(n)]
        expected += [crop(whole, top, left, size, size) for top, left in places]
    found = windows(image, size, how)
    assert {(one.shape, one.dtype) for one in found} == {((size, size, 3), np.dtype(np.uint8))}
    difference = np.stack(found).astype(int) - np.stack([np.asarray(one) for one in expected])
    assert np.abs(difference).max() <= 1  # rounding


@pytest.mark.parametrize("size", [1, 2, 32, 224, 227])
def test_the_smallest_window_has_as_many_pixels_as_a_crop(size: int) -> None:
    side = short_side(size)
    left, _, right, _ = list(boxes(side, 2 * side))[-1]
    assert size <= right - left < size + 1


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 40, 3)])
def test_small_and_narrow_images_have_all_windows(shape: tuple[int, int, int]) -> None:
    image = np.full(shape, 7, np.uint8)
    for window in windows(image, 8, "bilinear"):
        np.testing.assert_array_equal(window, 7)

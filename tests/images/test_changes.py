"""Changed crops against numpy, OpenCV and torchvision."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from kdsspark.images import changes

SIZE = 33
FILL = (124, 116, 104)


@pytest.fixture
def crop() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


@pytest.mark.parametrize("down", [0, 1, 7, -7, 40, -40])
def test_a_shift_moves_rows_down_and_fills_what_comes_in(crop: np.ndarray, down: int) -> None:
    expected = np.full_like(crop, FILL)
    for row in range(SIZE):
        if 0 <= row - down < SIZE:
            expected[row] = crop[row - down]
    np.testing.assert_array_equal(changes.changed(crop, "shift", down, FILL), expected)


@pytest.mark.parametrize("factor", [1.0, 1.25, 1.8])
def test_a_scale_is_about_the_middle(crop: np.ndarray, factor: float) -> None:
    found = changes.changed(crop, "scale", factor, FILL).astype(int)
    middle = (SIZE - 1) / 2  # of pixels, which OpenCV numbers by their middles
    matrix = cv2.getRotationMatrix2D((middle, middle), 0, factor)
    expected = cv2.warpAffine(crop, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR).astype(int)
    assert np.abs(found - expected).max() <= 3  # OpenCV has 32 steps between two pixels
    assert np.array_equal(found, crop) == (factor == 1)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_counter_clockwise(crop: np.ndarray, quarters: int) -> None:
    found = changes.changed(crop, "rotation", 90.0 * quarters, FILL)
    np.testing.assert_array_equal(found, np.rot90(crop, quarters))


@pytest.mark.parametrize("degrees", [10, 130, 350])
def test_other_turns_are_those_of_torchvision(crop: np.ndarray, degrees: int) -> None:
    picture = Image.fromarray(crop)
    expected = functional.rotate(picture, degrees, InterpolationMode.BILINEAR, fill=list(FILL))
    found = changes.changed(crop, "rotation", degrees, FILL)
    np.testing.assert_array_equal(found, np.asarray(expected))
    assert tuple(found[0, 0]) == FILL  # the corners come from outside


def test_the_amounts_are_those_of_the_paper() -> None:
    found = changes.amounts(224)
    assert found["shift"] == list(range(-60, 61, 5))
    np.testing.assert_allclose(found["scale"], np.arange(1, 1.81, 0.05))
    assert found["rotation"] == list(range(0, 351, 10))


@pytest.mark.parametrize(("size", "most"), [(299, 80), (32, 9), (1, 0)])
def test_shifts_are_in_proportion_to_the_crop(size: int, most: int) -> None:
    shifts = changes.amounts(size)["shift"]
    assert (shifts[0], shifts[-1]) == (-most, most)
    assert shifts == sorted(set(shifts))
    assert 0 in shifts

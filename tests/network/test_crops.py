from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.config import Preprocessing
from kdsspark.network.crops import VIEWS, normalise, places, views


def image(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randint(256, (height, width, 3), dtype=torch.uint8, generator=generator)


def chw(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(2, 0, 1)


@given(size=st.integers(1, 9), higher=st.integers(0, 7), wider=st.integers(0, 7))
def test_ten_equals_torchvision(size: int, higher: int, wider: int) -> None:
    pixels = image(size + higher, size + wider)
    expected = torch.stack(F.ten_crop(chw(pixels), [size, size]))
    assert torch.equal(views(pixels, "ten", size), expected)


@given(size=st.integers(1, 9), higher=st.integers(0, 7), wider=st.integers(0, 7))
def test_center_equals_torchvision(size: int, higher: int, wider: int) -> None:
    pixels = image(size + higher, size + wider)
    expected = F.center_crop(chw(pixels), [size, size])[None]
    assert torch.equal(views(pixels, "center", size), expected)


def test_twelve_is_five_crops_and_the_whole_image_and_their_mirrors() -> None:
    pixels = image(40, 61)
    whole = F.resize(chw(pixels), [32, 32], F.InterpolationMode.BILINEAR, antialias=True)
    six = torch.stack([*F.five_crop(chw(pixels), [32, 32]), whole])
    expected = torch.cat([six, F.hflip(six)])
    assert torch.equal(views(pixels, "twelve", 32), expected)


@given(size=st.integers(1, 9), higher=st.integers(0, 7), wider=st.integers(0, 7))
@pytest.mark.parametrize("crops", ["center", "ten"])
def test_views_lie_where_places_says(crops: str, size: int, higher: int, wider: int) -> None:
    pixels = image(size + higher, size + wider)
    found = places(crops, *pixels.shape[:2], size)
    assert len(found) == VIEWS[crops]
    for view, (top, left, mirrored) in zip(views(pixels, crops, size), found, strict=True):
        cut = F.crop(F.hflip(chw(pixels)) if mirrored else chw(pixels), top, left, size, size)
        assert torch.equal(view, cut)


@pytest.mark.parametrize("crops", VIEWS)
def test_shape_layout_and_count(crops: str) -> None:
    cut = views(image(20, 30), crops, 16)
    assert cut.shape == (VIEWS[crops], 3, 16, 16)
    assert cut.dtype == torch.uint8
    assert cut.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (image(15, 30), "at least 16 pixels a side, got 15 x 30"),
        (image(30, 15), "at least 16 pixels a side, got 30 x 15"),
        (image(30, 30).float(), r"got torch.float32 \[30, 30, 3\]"),
        (chw(image(30, 30)), r"got torch.uint8 \[3, 30, 30\]"),
        (image(30, 30)[..., 0], r"got torch.uint8 \[30, 30\]"),
    ],
)
def test_refuses(pixels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        views(pixels, "ten", 16)


def test_normalise_equals_torchvision() -> None:
    cut = views(image(20, 30), "ten", 16)
    given = Preprocessing()
    expected = F.normalize(F.convert_image_dtype(cut), list(given.mean), list(given.std))
    torch.testing.assert_close(normalise(cut, given), expected, rtol=0, atol=1e-6)


def test_caffe_preprocessing_is_bgr_less_the_mean_of_0_to_255() -> None:
    cut = views(image(20, 30), "center", 16)
    caffe = Preprocessing(
        mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), channels="bgr", scale=255
    )
    red, green, blue = cut[0].float()
    expected = torch.stack([blue - 103.939, green - 116.779, red - 123.68])
    torch.testing.assert_close(normalise(cut, caffe)[0], expected)

"""Images as the report shows them: large photographs are read small."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kdsspark.errors import ImageError
from kdsspark.images.decoding import picture
from tests.images.test_decoding import encoded


@pytest.mark.parametrize(
    ("side", "least", "seen"),
    [(400, 256, 400), (512, 256, 256), (1100, 256, 275), (2048, 256, 256)],
)
def test_a_large_jpeg_is_a_smaller_picture(side: int, least: int, seen: int) -> None:
    """Of the colours that Pillow's box filter gives; other formats keep their size."""
    rng = np.random.default_rng(0)
    large = Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8)).resize((side * 3 // 2, side))
    small = picture(encoded(large, "JPEG"), least)
    assert small.size == (-(-seen * 3 // 2), seen)
    expected = np.asarray(large.resize(small.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(small) - expected).mean() < 4
    assert picture(encoded(large, "PNG"), least) == large


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_picture_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.new("RGB", (64, 32))
    found = picture(encoded(stored, "JPEG", exif=exif), 8)
    assert found.size == ((16, 8) if orientation == 1 else (8, 16))


def test_what_is_no_picture_is_refused() -> None:
    for data in (b"", b"text"):
        with pytest.raises(ImageError):
            picture(data, 8)

"""From stored values to levels of 8 bits, against arithmetic with fractions and Pillow."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from kdsspark.images.levels import Levels, to_rgb

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def shown(image: Image.Image, levels: Levels) -> npt.NDArray[np.uint8]:
    found = to_rgb(image, levels)
    assert (found.mode, found.size) == ("RGB", image.size)
    return np.asarray(found)


def grey(image: Image.Image, levels: Levels) -> list[int]:
    """The levels of a picture that must be grey."""
    pixels = shown(image, levels)
    assert (pixels == pixels[..., :1]).all()
    return [int(level) for level in pixels[..., 0].ravel()]


def level(value: float, white: int) -> int:
    """The nearest level, and of two equally near the even one."""
    return min(255, max(0, round(Fraction(value) * 255 / white)))


# -- values of more than 8 bits ------------------------------------------------------------------


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("white", [255, 1023, 4095, 65535])
def test_integers_are_scaled_by_the_given_white(white: int, inverted: bool) -> None:
    values = np.unique(np.linspace(0, white, 400).astype(np.uint16))
    expected = [level(int(value), white) for value in values]
    if inverted:
        expected = [255 - value for value in expected]
    image = Image.fromarray(values[None])
    assert image.mode == "I;16"
    assert grey(image, Levels("k", white, inverted)) == expected


def test_what_is_above_white_is_white() -> None:
    image = Image.fromarray(np.array([[0, 1023, 1024, 65535]], dtype=np.uint16))
    assert grey(image, Levels("k", 1023)) == [0, 255, 255, 255]


@pytest.mark.parametrize(
    ("values", "white"),
    [
        ([0.0, 0.25, 0.5, 1.0], 1),
        ([0.0, 1.001], 1),  # no level above white
        ([0.0625, 0.07], 1),  # the brightest is just bright enough
        ([0.0, 1.01, 255.0], 255),
        ([-0.4, 254.0], 255),
        ([0.0, 256.0, 65535.0], 65535),
        ([0.0, 0.0], 1),  # black all over
    ],
)
def test_of_floats_the_smallest_white_that_fits_is_taken(values: list[float], white: int) -> None:
    stored = np.array([values], dtype=np.float32)
    expected = [level(float(value), white) for value in stored[0]]
    assert grey(Image.fromarray(stored), Levels("k", "float32")) == expected


@pytest.mark.parametrize(
    ("values", "white"), [([0, 200], 255), ([0, 16, 255], 255), ([0, 5000, 65535], 65535)]
)
def test_of_integers_too(values: list[int], white: int) -> None:
    image = Image.fromarray(np.array([values], dtype=np.int32))
    assert grey(image, Levels("k", "int32")) == [level(value, white) for value in values]


INTEGERS, FLOATS = "0 to 255 or 0 to 65,535", "0 to 1 or 0 to 255 or 0 to 65,535"


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([0, 15], "int32", f"must fill {INTEGERS}, got 0 to 15"),
        ([0, 300], "int32", f"must fill {INTEGERS}, got 0 to 300"),
        ([0, 70_000], "int32", f"must fill {INTEGERS}, got 0 to 70,000"),
        ([-5, 200], "int32", f"must fill {INTEGERS}, got -5 to 200"),
        ([0, -1], "uint32", f"must fill {INTEGERS}, got 0 to 4.29497e+09"),
        ([0.0, 0.05], "float32", f"must fill {FLOATS}, got 0 to 0.05"),
        ([0.0, 2.0], "float32", f"must fill {FLOATS}, got 0 to 2"),
        ([-1.0, 1.0], "float32", f"must fill {FLOATS}, got -1 to 1"),
        ([0.0, np.nan], "float32", f"must fill {FLOATS}, got nan to nan"),
        ([0.0, np.inf], "float32", f"must fill {FLOATS}, got 0 to inf"),
    ],
)
def test_where_nothing_tells_what_is_white_it_is_refused(
    values: list[Any], kind: str, words: str
) -> None:
    stored = np.array([values], dtype=np.float32 if kind == "float32" else np.int32)
    with pytest.raises(NotImplementedError) as caught:
        to_rgb(Image.fromarray(stored), Levels("TIFF of x", kind))
    assert str(caught.value) == f"TIFF of x, not read: its values {words}"


# -- 8 bits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LA"]
)
def test_other_modes_are_as_pillow_converts_them(mode: str) -> None:
    picture = Image.merge(
        "RGB", [Image.fromarray(channel) for channel in (RAMP, RAMP.T, RAMP[::-1])]
    )
    image = picture.convert(mode)
    assert (shown(image, Levels("k")) == np.asarray(image.convert("RGB"))).all()
    if mode == "RGB":
        assert (shown(image, Levels("k")) == np.asarray(picture)).all()


@pytest.mark.parametrize(("mode", "plain"), [("La", "LA"), ("RGBa", "RGBA")])
def test_alpha_that_is_multiplied_in_is_divided_out(mode: str, plain: str) -> None:
    channels = [Image.new("L", (2, 1), value) for value in (200, 40, 100)[: len(plain) - 1]]
    image = Image.merge(plain, [*channels, Image.new("L", (2, 1), 128)])
    expected = (200, 200, 200) if plain == "LA" else (200, 40, 100)
    found = shown(image.convert(mode), Levels("k")).astype(int)
    assert np.abs(found - expected).max() <= 2  # what 8 bits lose on the way


def test_neutral_lab_is_grey_of_its_lightness() -> None:
    lightness = np.array([[0, 64, 128, 191, 255]], dtype=np.uint8)
    zero = Image.fromarray(np.full_like(lightness, 128))
    image = Image.merge("LAB", [Image.fromarray(lightness), zero, zero])
    lab = lightness[0].astype(float) * 100 / 255
    linear = np.where(lab > 8, ((lab + 16) / 116) ** 3, lab / 903.3)  # CIE 1976
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    found = shown(image, Levels("k")).astype(int)
    assert np.abs(found[0] - 255 * srgb[:, None]).max() <= 2

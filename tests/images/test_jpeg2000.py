"""JPEG 2000 in all its kinds: the picture that was encoded by OpenJPEG, or a named refusal."""

import itertools
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import features

from tests.images.files import outcome, ramps, shown

pytestmark = pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no codec")


def encoded(values: np.ndarray, container: str = "jp2", **options: object) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            values, level=0, reversible=True, codecformat=container, **options
        )
    )


def integers(values: np.ndarray, bits: int, signed: bool = False) -> np.ndarray:
    levels = np.rint(values * (2**bits - 1)).astype(int) - (2 ** (bits - 1) if signed else 0)
    return levels.astype(f"{'int' if signed else 'uint'}{8 if bits <= 8 else 16}")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 9, 10, 12, 15, 16])
def test_every_depth_and_sign(bits: int, channels: int) -> None:
    picture = ramps(channels)
    expected = shown(picture[..., 0] if channels == 2 else picture)
    for container, signed in itertools.product(("jp2", "j2k"), (False, True)):
        data = encoded(integers(picture, bits, signed), container, bitspersample=bits)
        found = outcome(data, expected)
        lossless = imagecodecs.jpeg2k_decode(data)
        np.testing.assert_array_equal(lossless, integers(picture, bits, signed))
        grey_in_16 = channels == 1 and bits > (9 if container == "jp2" else 8)
        if bits == 8 or grey_in_16:
            assert found == "read"
        else:
            name = f"JPEG 2000 of {bits}-bit samples, {channels} a pixel"
            assert found == f"{name}, not read: its samples are not of 8 bits"


def test_white_of_16_bit_colour_is_not_black() -> None:
    # Pillow rounds 65,535 up to 256, of which a byte keeps 0.
    white = np.full((48, 64, 3), 65535, np.uint16)
    expected = np.full((48, 64, 3), 255, np.uint8)
    assert outcome(encoded(white), expected) != "wrong"


def in_colour_space(data: bytes, code: int) -> bytes:
    at = data.index(b"colr") + 7
    return data[:at] + struct.pack(">I", code) + data[at + 4 :]


@pytest.mark.parametrize(
    ("channels", "code", "expected"),
    [
        (3, 16, "read"),
        (1, 17, "read"),
        (4, 12, "read"),
        (3, 0, "not read: its colour space is 0"),
        (3, 14, "not read: its colour space is 14"),  # CIELab
        (3, 20, "not read: its colour space is 20"),  # e-sRGB
        (3, 24, "not read: its colour space is 24"),  # e-sYCC
        (1, 0, "not read: its colour space is 0"),  # two levels, 0 is white
        (3, 12, "not read: its colour space is 12"),
    ],
)
def test_colour_spaces(channels: int, code: int, expected: str) -> None:
    picture = ramps(channels)
    data = in_colour_space(encoded(integers(picture, 8), colorspace="SRGB"), code)
    if code == 12:
        picture = (1 - picture[..., :3]) * (1 - picture[..., -1:])
    found = outcome(data, shown(picture))
    assert found.endswith(expected)
    assert found == "read" or found.startswith(f"JPEG 2000 of 8-bit samples, {channels} a pixel")


def test_sycc() -> None:
    rgb = 64 + ramps(3) * 128
    luma = rgb @ (0.299, 0.587, 0.114)
    blue, red = (rgb[..., 2] - luma) / 1.772 + 128, (rgb[..., 0] - luma) / 1.402 + 128
    data = encoded(
        np.rint(np.stack([luma, blue, red], axis=-1)).astype(np.uint8), colorspace="SYCC", mct=0
    )
    assert outcome(data, shown(rgb / 255), 3) == "read"


def with_box(data: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    """The file with more boxes at the end of its header box."""
    added = b"".join(struct.pack(">I", 8 + len(body)) + name + body for name, body in boxes)
    at = data.index(b"jp2h") - 4
    size = int.from_bytes(data[at : at + 4])
    header = struct.pack(">I", size + len(added)) + data[at + 4 : at + size]
    return data[:at] + header + added + data[at + size :]


@pytest.mark.parametrize(
    ("code", "bits", "expected"),
    [
        (16, 8, "read"),
        (17, 8, "JPEG 2000 of 8-bit samples, 1 a pixel, not read: its palette is not applied"),
        (16, 4, "JPEG 2000 of 4-bit samples, 1 a pixel, not read: its samples are not of 8 bits"),
    ],
)
def test_palettes(code: int, bits: int, expected: str) -> None:
    levels = integers(ramps(1), bits)
    colours = [(255 - level, level, 7) for level in range(256)]
    palette = struct.pack(">HB", 256, 3) + bytes([7, 7, 7]) + bytes(sum(colours, ()))
    places = b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3))
    data = in_colour_space(encoded(levels, colorspace="GRAY", bitspersample=bits), code)
    data = with_box(data, (b"pclr", palette), (b"cmap", places))
    assert outcome(data, np.array(colours, dtype=np.uint8)[levels], 0) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 0, 1), (1, 0, 2), (2, 0, 3)], "read"),
        ([(0, 0, 3), (1, 0, 2), (2, 0, 1)], "its channels are in another order"),
    ],
)
def test_order_of_channels(rows: list[tuple[int, int, int]], expected: str) -> None:
    body = struct.pack(">H", len(rows)) + b"".join(struct.pack(">HHH", *row) for row in rows)
    data = with_box(encoded(integers(ramps(3), 8), colorspace="SRGB"), (b"cdef", body))
    assert outcome(data, shown(ramps(3))).endswith(expected)


def test_subsampled_and_other_numbers_of_components() -> None:
    data = bytearray(encoded(integers(ramps(3), 8), "j2k"))
    at = data.index(b"\xff\x4f\xff\x51") + 42
    assert data[at : at + 9] == b"\x07\1\1\x07\1\1\x07\1\1"
    data[at + 4 : at + 6] = b"\2\2"
    expected = "JPEG 2000 of 8-bit samples, 3 a pixel, not read: its colours are subsampled"
    assert outcome(bytes(data), shown(ramps(3))) == expected
    found = outcome(encoded(integers(ramps(5), 8)), shown(ramps(3)))
    assert found.startswith("JPEG 2000 of 8-bit samples, 5 a pixel, not read: ")


def test_cut_off() -> None:
    data = encoded(integers(ramps(3), 8))
    for length in range(12, data.index(b"\xff\x4f\xff\x51") + 60, 7):
        assert outcome(data[:length], shown(ramps(3))).startswith("JPEG 2000 ")

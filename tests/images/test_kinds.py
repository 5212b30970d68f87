"""The other formats in all their kinds, and what is said of files that are not read."""

import importlib.util
import io
import struct
import sys
from collections.abc import Callable

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from kdsspark.images import decoding
from kdsspark.images.decoding import EXTRA_SUFFIXES, IMAGE_SUFFIXES, image_suffixes
from tests.images.files import (
    HEIGHT,
    WIDTH,
    by_opencv,
    outcome,
    packed,
    png,
    ramps,
    shown,
)

GREY_ALPHA = np.stack([ramps(1), ramps(2)[..., 0]], axis=-1)


def integers(values: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(values * (2**bits - 1)).astype("uint8" if bits <= 8 else "uint16")


# -- PNG, against libpng (OpenCV) -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "colour_type", "values"),
    [
        *[(bits, 0, ramps(1)) for bits in (1, 2, 4, 8, 16)],
        *[(bits, 3, ramps(1)) for bits in (1, 2, 4, 8)],
        *[(bits, 4, GREY_ALPHA) for bits in (8, 16)],
        *[(bits, 2, ramps(3)) for bits in (8, 16)],
        *[(bits, 6, ramps(4)) for bits in (8, 16)],
    ],
)
def test_png(bits: int, colour_type: int, values: np.ndarray) -> None:
    channels = values.reshape(HEIGHT, WIDTH, -1)
    levels = np.rint(channels * (2**bits - 1)).astype(int)
    chunks = [(b"gAMA", struct.pack(">I", 100_000)), (b"cICP", bytes([9, 16, 0, 1]))]
    if colour_type == 3:
        colours = [(255 * i // (2**bits - 1), 255 - i, 7) for i in range(2**bits)]
        chunks += [(b"PLTE", bytes(sum(colours, ()))), (b"tRNS", bytes([0, 100]))]
    elif colour_type == 0:
        chunks += [(b"tRNS", struct.pack(">H", 2**bits - 1))]
    data = png(levels, bits, colour_type, *chunks)
    assert outcome(data, by_opencv(data)) == "read"
    if colour_type != 3:
        pixels = levels[..., 0] if colour_type in (0, 4) else levels
        assert outcome(data, shown(pixels / (2**bits - 1))) == "read"


# -- PNM, by its definition -----------------------------------------------------------------------


@pytest.mark.parametrize("maximum", [1, 3, 100, 254, 255, 256, 1000, 4095, 65534, 65535])
@pytest.mark.parametrize(("magic", "channels"), [("P2", 1), ("P5", 1), ("P3", 3), ("P6", 3)])
def test_pnm(magic: str, channels: int, maximum: int) -> None:
    levels = np.rint(ramps(channels) * maximum).astype("uint8" if maximum < 256 else ">u2")
    header = f"{magic} {WIDTH} {HEIGHT} {maximum}\n".encode()
    plain = " ".join(map(str, levels.ravel())).encode()
    body = levels.tobytes() if magic in ("P5", "P6") else plain
    assert outcome(header + body, shown(levels / maximum)) == "read"


@pytest.mark.parametrize("maximum", [100, 1000])
def test_pnm_with_values_above_its_maximum(maximum: int) -> None:
    levels = np.rint(ramps(3) * maximum * 2).astype("uint8" if maximum < 256 else ">u2")
    data = f"P6 {WIDTH} {HEIGHT} {maximum}\n".encode() + levels.tobytes()
    expected = f"PNM must have values up to {maximum}, as its header says, got {maximum * 2}"
    assert outcome(data, shown(ramps(3))) == expected


def test_bitmap_of_pnm_has_1_for_black() -> None:
    ink = ramps(1) > 0.5
    for header, body in (("P4", packed(ink, 1)), ("P1", " ".join(f"{i:d}" for i in ink.ravel()))):
        data = f"{header} {WIDTH} {HEIGHT}\n".encode()
        data += body if isinstance(body, bytes) else body.encode()
        assert outcome(data, shown(1.0 - ink)) == "read"


@pytest.mark.parametrize(("order", "scale"), [("<f4", "-1.0"), (">f4", "1.0")])
@pytest.mark.parametrize("white", [1, 255, 65535, 1000])
def test_pfm(white: int, order: str, scale: str) -> None:
    rows = (ramps(1) * white)[::-1]  # from the lowest
    data = f"Pf\n{WIDTH} {HEIGHT}\n{scale}\n".encode() + rows.astype(order).tobytes()
    found = outcome(data, shown(ramps(1)))
    expected = "PFM of float32 grey, not read: its values must fill 0 to 1 or"
    assert found == "read" if white != 1000 else found.startswith(expected)


# -- BMP, by its definition -----------------------------------------------------------------------


def bmp(pixels: bytes, bits: int, compression: int = 0, masks: tuple[int, ...] = ()) -> bytes:
    head = struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, compression, len(pixels), 0, 0, 0, 0
    )
    head += struct.pack(f"<{len(masks)}I", *masks)
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + pixels


@pytest.mark.parametrize(
    ("bits", "masks", "expected"),
    [
        (16, (), "read"),
        (16, (0x7C00, 0x3E0, 0x1F), "read"),
        (16, (0xF800, 0x7E0, 0x1F), "read"),
        (32, (), "read"),
        (32, (0xFF0000, 0xFF00, 0xFF), "read"),
        (32, (0xFF000000, 0xFF0000, 0xFF00), "read"),
        (32, (0x3FF00000, 0xFFC00, 0x3FF), "BMP, not read: Unsupported BMP bitfields layout"),
        (16, (0xF00, 0xF0, 0xF), "BMP, not read: Unsupported BMP bitfields layout"),
        (64, (), "BMP, not read: Unsupported BMP pixel depth (64)"),
    ],
)
def test_bmp_of_16_and_32_bits(bits: int, masks: tuple[int, ...], expected: str) -> None:
    fields = masks or ((0x7C00, 0x3E0, 0x1F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF))
    pixels = np.zeros((HEIGHT, WIDTH), np.uint64)
    for channel, mask in enumerate(fields):
        lowest = mask & -mask
        levels = np.rint(ramps(3)[..., channel] * (mask // lowest)).astype(np.uint64)
        pixels |= levels * np.uint64(lowest)
    rows = pixels[::-1].astype(f"<u{bits // 8}").tobytes()
    data = bmp(rows, bits, 3 if masks else 0, masks)
    assert outcome(data, shown(ramps(3)), 255 // 31 // 2 + 1 if bits == 16 else 1) == expected


# -- formats of libraries -------------------------------------------------------------------------

SMOOTH = 0.25 + 0.5 * ramps(3)
GREY = ramps(1)
CODED: dict[str, tuple[Callable[[], bytes], np.ndarray]] = {
    "jpeg grey": (lambda: imagecodecs.jpeg8_encode(integers(GREY, 8), level=98), GREY),
    "jpeg rgb": (
        lambda: imagecodecs.jpeg8_encode(
            integers(SMOOTH, 8), level=98, colorspace="rgb", outcolorspace="rgb"
        ),
        SMOOTH,
    ),
    "jpeg lossless": (
        lambda: imagecodecs.ljpeg_encode(integers(GREY, 8), bitspersample=8),
        GREY,
    ),
    **{
        # Adobe's programs store 255 for no ink, and other programs expect it.
        f"jpeg {name}": (
            lambda name=name: imagecodecs.jpeg8_encode(
                255 - integers(ramps(4), 8), level=98, colorspace="cmyk", outcolorspace=name
            ),
            (1 - ramps(4)[..., :3]) * (1 - ramps(4)[..., 3:]),
        )
        for name in ("cmyk", "ycck")
    },
    "webp": (lambda: imagecodecs.webp_encode(integers(SMOOTH, 8), level=100), SMOOTH),
    **{
        f"avif {bits}": (
            lambda bits=bits: imagecodecs.avif_encode(
                integers(SMOOTH, bits), level=100, bitspersample=bits
            ),
            SMOOTH,
        )
        for bits in (8, 10, 12)
    },
    **{
        f"avif grey {bits}": (
            lambda bits=bits: imagecodecs.avif_encode(
                integers(GREY, bits), level=100, bitspersample=bits, pixelformat="yuv400"
            ),
            GREY,
        )
        for bits in (8, 10, 12)
    },
}


@pytest.mark.parametrize("name", CODED)
def test_pictures_of_other_encoders(name: str) -> None:
    make, picture = CODED[name]
    assert outcome(bytes(make()), shown(picture), 3) == "read"


# -- HEIF -----------------------------------------------------------------------------------------


def heif(values: np.ndarray, mode: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), values.tobytes())
    image.save(buffer, quality=-1, chroma="444", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "picture", "bits"),
    [("RGB", SMOOTH, 8), ("L", GREY, 8), ("RGB;16", SMOOTH, 16), ("L;16", GREY, 16)],
)
def test_heif(mode: str, picture: np.ndarray, bits: int) -> None:
    assert outcome(heif(integers(picture, bits), mode), shown(picture), 3) == "read"


def test_heif_is_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = heif(integers(SMOOTH, 8), "RGB", exif=exif.tobytes())
    assert outcome(data, shown(SMOOTH)[::-1, ::-1], 3) == "read"


def test_heif_leaves_pillow_as_it_was() -> None:
    assert outcome(heif(integers(SMOOTH, 8), "RGB"), shown(SMOOTH), 3) == "read"
    assert "HEIF" not in Image.OPEN


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heif(integers(SMOOTH, 8), "RGB")
    assert set(image_suffixes()) == {*IMAGE_SUFFIXES, *EXTRA_SUFFIXES}
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    expected = "HEIF, not read without the extra: pip install 'kdsspark[heif]'"
    assert outcome(data, shown(SMOOTH)) == expected
    assert image_suffixes() == IMAGE_SUFFIXES
    assert importlib.util.find_spec("pillow_heif") is None


def test_suffixes_of_extras_are_those_of_their_plugins() -> None:
    assert set(EXTRA_SUFFIXES).isdisjoint(IMAGE_SUFFIXES)
    assert set(EXTRA_SUFFIXES.values()) == set(decoding._PLUGINS)
    assert {".heic", ".heif"} <= set(EXTRA_SUFFIXES)


# -- what is not read -----------------------------------------------------------------------------

JPEG12 = {"level": 98, "bitspersample": 12}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            imagecodecs.jpeg8_encode(integers(GREY, 12), **JPEG12),
            "JPEG, not read: cannot handle 12",
        ),
        (imagecodecs.jpegls_encode(integers(SMOOTH, 8)), "JPEG, not read: "),
        (imagecodecs.jpegxl_encode(integers(SMOOTH, 8)), "JPEG XL, not read"),
        (imagecodecs.jpegxr_encode(integers(SMOOTH, 8)), "JPEG XR, not read"),
        (imagecodecs.qoi_encode(integers(SMOOTH, 8)), "QOI, not read"),
        (b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\0", "PAM, not read"),
        (b"PF\n1 1\n-1.0\n" + bytes(12), "PFM of float32 RGB, not read"),
        (b"8BPS\0\1", "Photoshop document, not read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript, not read"),
        (b"%PDF-1.7\n", "PDF, not read"),
        (b"v/1\x01\2\0\0\0", "OpenEXR, not read"),
        (b"#?RADIANCE\n", "Radiance HDR, not read"),
        (b"DDS \x7c\0\0\0", "DDS, not read"),
        (b"\0\0\1\0\1\0", "Windows icon or cursor, not read"),
        (b"SIMPLE  =                    T", "FITS, not read"),
        (bytes(128) + b"DICM", "DICOM, not read"),
        (b"\x89HDF\r\n\x1a\n", "HDF5, not read"),
        (b"\x93NUMPY\1\0", "NumPy array, not read"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "video, not read"),
        (b"\x1a\x45\xdf\xa3\x9f", "video, not read"),
        (b"PK\3\4\x14\0", "ZIP archive, not read"),
        (b"\x1f\x8b\x08\0", "gzip, not read"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer in place of the image"),
        (b"\n<!DOCTYPE html>\n<html>", "web page, not read"),
        (b"<HTML><body>404", "web page, not read"),
        (b'<?xml version="1.0"?>\n<svg/>', "SVG or other XML, not read"),
        (b"<svg/>", "SVG or other XML, not read"),
        (b"\x89PNG\r\n\x1a\n\0\0", "PNG, not read: "),
        (b"GIF89a\1\0", "GIF, not read: "),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "WEBP, not read: "),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF, not read: "),
        (b"BM" + bytes(20), "BMP, not read: "),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG, not read: "),
        (b"P5 10", "PPM, not read: "),
        (b"this is no picture", "must begin like one of JPEG, "),
        (b"II", "must begin like one of JPEG, "),
    ],
)
def test_what_is_not_read_is_named(data: bytes, expected: str) -> None:
    assert outcome(bytes(data), shown(GREY)).startswith(expected)

"""Decoding against torchvision's loader and resize, on files encoded here."""

import contextlib
import io
import pickle
import struct
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, features
from torchvision.transforms import functional

from kdsspark.errors import ImageError
from kdsspark.images import kinds
from kdsspark.images.decoding import (
    IMAGE_SUFFIXES,
    INTERPOLATIONS,
    MAX_PIXELS,
    Decoder,
    decode,
)

Pixels = np.ndarray


def picture(height: int = 90, width: int = 120, seed: int = 0) -> Image.Image:
    """Noise on a gradient that differs between channels and has no symmetry."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(height), 1.3 * np.arange(width))
    values = ramp[..., None] * (1.0, 0.6, 0.3) + rng.integers(0, 60, (height, width, 3))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def oracle(image: Image.Image, short_side: int, interpolation: str = "bilinear") -> Pixels:
    mode = functional.InterpolationMode(interpolation)
    return np.asarray(functional.resize(image.convert("RGB"), short_side, mode))


def png_header(width: int, height: int) -> bytes:
    """The start of a true-colour PNG, up to a few bytes of pixels that never come."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    shape = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", shape) + chunk(b"IDAT", b"\x78\x9c")


FORMATS = {
    "jpeg": ("JPEG", {"quality": 90}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "jpeg tiff": ("TIFF", {"compression": "jpeg"}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
    "jpeg 2000": ("JPEG2000", {}),
    "avif": ("AVIF", {}),
}


def has(format: str) -> bool:
    library = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}.get(format)
    return library is None or bool(features.check(library))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_decodes_as_torchvision_does(name: str) -> None:
    format, options = FORMATS[name]
    if not has(format):
        pytest.skip(f"this Pillow has no {format}")
    data = encoded(picture(), format, **options)
    found = decode(data, 64)
    assert found.dtype == np.uint8
    assert found.flags.writeable
    np.testing.assert_array_equal(found, oracle(Image.open(io.BytesIO(data)), 64))


@pytest.mark.parametrize("name", FORMATS)
def test_lossy_or_not_the_picture_is_the_one_drawn(name: str) -> None:
    format, options = FORMATS[name]
    if not has(format):
        pytest.skip(f"this Pillow has no {format}")
    smooth = picture().resize((30, 20)).resize((120, 90))
    found = decode(encoded(smooth, format, **options), 90).astype(int)
    assert np.abs(found - np.asarray(smooth, dtype=int)).mean() < 8


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    short_side=st.sampled_from([1, 7, 224, 256]),
    interpolation=st.sampled_from(list(INTERPOLATIONS)),
)
@settings(max_examples=40)
def test_sizes_are_torchvisions(
    width: int, height: int, short_side: int, interpolation: str
) -> None:
    image = picture(height, width)
    found = decode(encoded(image, "BMP"), short_side, interpolation)
    np.testing.assert_array_equal(found, oracle(image, short_side, interpolation))
    assert np.array_equal(found, Decoder(short_side, interpolation)(encoded(image, "BMP")))
    assert min(found.shape[:2]) == short_side


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 2), (1, 1000), (1000, 1), (64, 64)])
def test_thin_and_tiny(width: int, height: int) -> None:
    image = picture(height, width)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), 64), oracle(image, 64))


def test_thin_at_the_usual_size() -> None:
    assert decode(encoded(picture(1000, 1), "PNG"), 256).shape == (256_000, 256, 3)


MODES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "grey": lambda image: image.convert("L"),
    "one bit": lambda image: image.convert("1"),
    "palette": lambda image: image.quantize(16),
    "grey with alpha": lambda image: image.convert("LA"),
    "alpha": lambda image: image.convert("RGBA"),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_png(mode: str) -> None:
    image = MODES[mode](picture())
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), 64), oracle(image, 64))


def test_cmyk_keeps_its_colours() -> None:
    orange = Image.new("RGB", (40, 40), (230, 120, 20))
    for format in ("JPEG", "TIFF"):
        found = decode(encoded(orange.convert("CMYK"), format), 40)
        assert np.abs(found.astype(int) - (230, 120, 20)).max() <= 3


def test_ycbcr_tiff_keeps_its_colours() -> None:
    teal = Image.new("RGB", (40, 40), (20, 150, 140))
    found = decode(encoded(teal.convert("YCbCr"), "TIFF"), 40)
    assert np.abs(found.astype(int) - (20, 150, 140)).max() <= 3


def test_lab_becomes_srgb() -> None:
    # CIE L* 53.2, a* 80.1, b* 67.2 (D65) is sRGB red; stored as L * 2.55 and signed a, b.
    lab = Image.merge("LAB", [Image.new("L", (8, 8), value) for value in (138, 128 + 81, 128 + 70)])
    red = decode(encoded(lab, "TIFF"), 8)[4, 4].astype(int)
    assert red[0] > 240
    assert red[1:].max() < 40


def test_alpha_is_dropped_not_blended() -> None:
    hidden = Image.new("RGBA", (10, 10), (200, 30, 40, 0))
    assert (decode(encoded(hidden, "PNG"), 10) == (200, 30, 40)).all()


def test_palette_with_transparency_per_entry_warns_nobody() -> None:
    image = picture().quantize(8)
    data = encoded(image, "PNG", transparency=bytes([0, 60, 120, 180, 255, 255, 255, 255]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(data)).convert("RGB")
        assert caught, "the file must be one that Pillow warns about"
        caught.clear()
        found = decode(data, 64)
    assert not caught
    np.testing.assert_array_equal(found, oracle(image, 64))


def gradient_16_bit() -> np.ndarray:
    return np.linspace(0, 65535, 100 * 80).astype(np.uint16).reshape(80, 100)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_gradient_is_scaled_not_clipped(format: str, order: str) -> None:
    values = gradient_16_bit()
    image = Image.fromarray(values.astype(order))
    found = decode(encoded(image, format), 80)
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, axis=2))


def test_16_bit_pgm() -> None:
    values = gradient_16_bit()
    data = b"P5 100 80 65535\n" + values.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(data, 80)[..., 1], np.rint(values / 257))


# What a camera stores so that showing it under this orientation gives the upright picture.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation: int, format: str) -> None:
    if not has(format):
        pytest.skip(f"this Pillow has no {format}")
    upright = picture(60, 100)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(upright))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    data = encoded(stored, format, exif=exif, **options)
    np.testing.assert_array_equal(decode(data, 48), oracle(upright, 48))


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_unknown_orientation_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(data, 48), oracle(picture(), 48))


def test_truncated_exif_warns_nobody_and_keeps_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a maker's name of some length"
    whole = b"Exif\x00\x00" + exif.tobytes().removeprefix(b"Exif\x00\x00")
    plain = oracle(Image.open(io.BytesIO(encoded(picture(), "JPEG"))), 48)
    for length in range(7, len(whole)):
        found = decode(encoded(picture(), "JPEG", exif=whole[:length]), 48)
        assert found.shape in {(48, 64, 3), (64, 48, 3)}
        if found.shape == plain.shape:
            np.testing.assert_array_equal(found, plain)


def test_unreadable_exif_counts_as_upright() -> None:
    data = encoded(picture(), "PNG", exif=b"Exif\x00\x00no TIFF header")
    with pytest.raises(SyntaxError), Image.open(io.BytesIO(data)) as image:
        image.getexif()
    np.testing.assert_array_equal(decode(data, 48), oracle(picture(), 48))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation(format: str) -> None:
    if not has(format):
        pytest.skip(f"this Pillow has no {format}")
    first, second = (Image.new("RGB", (30, 20), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(first, format, save_all=True, append_images=[second], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert (decode(data, 20) == (255, 0, 0)).all()


@pytest.mark.parametrize("name", FORMATS)
def test_truncated_anywhere_is_refused(name: str) -> None:
    format, options = FORMATS[name]
    if not has(format):
        pytest.skip(f"this Pillow has no {format}")
    data = encoded(picture(), format, **options)
    end = int(0.98 * len(data))  # the last bytes may hold no pixels: PNG ends in a marker
    for length in {*range(0, end, end // 40), end // 2, end}:
        with pytest.raises(ImageError) as caught:
            decode(data[:length], 64)
        assert caught.value.stage == "decode"
        assert caught.value.message


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode(data, 64)


@given(position=st.integers(0, 2000), value=st.integers(0, 255))
@settings(max_examples=100)
def test_a_damaged_byte_raises_nothing_else(position: int, value: int) -> None:
    data = bytearray(encoded(picture(), "JPEG"))
    data[position % len(data)] = value
    with contextlib.suppress(ImageError):
        assert min(decode(bytes(data), 32).shape[:2]) == 32


def test_empty_and_text_say_so() -> None:
    with pytest.raises(ImageError, match="decode: ValueError: file is empty"):
        decode(b"", 64)
    with pytest.raises(ImageError, match=r"decode: UnidentifiedImageError: must begin like .*JPEG"):
        decode(b"this is no picture\n" * 20, 64)


def test_postscript_is_never_interpreted() -> None:
    with pytest.raises(ImageError, match="PostScript, not read"):
        decode(encoded(picture(), "EPS"), 64)


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (60_000, 60_000, "3600000000 pixels.*limit"),
        (12_000, 12_000, "at most 134,217,728 pixels, got 12000 x 12000"),
        (1, 60_000, "resized image must have at most 134,217,728 pixels, got 256 x 15360000"),
        (60_000, 1, "resized image must have at most 134,217,728 pixels, got 256 x 15360000"),
    ],
)
def test_bombs_are_refused_from_the_header(width: int, height: int, words: str) -> None:
    data = png_header(width, height)
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(ImageError, match=f"decode: DecompressionBombError: .*{words}"):
        decode(data, 256)
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 2**22


def test_a_large_image_within_the_limit_is_no_bomb() -> None:
    # Above the size from which Pillow warns; its pixels are missing, which is what is said.
    width, height = 10_000, 10_000
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS < width * height < MAX_PIXELS
    with pytest.raises(ImageError, match=r"OSError: PNG: .*truncated"):
        decode(png_header(width, height), 256)


def test_nothing_of_pillow_or_the_filters_is_left_changed() -> None:
    def state() -> tuple[object, ...]:
        return (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))

    before = state()
    decode(encoded(picture(), "JPEG"), 64)
    with pytest.raises(ImageError):
        decode(b"", 64)
    assert state() == before


def test_threads_agree_and_stay_quiet() -> None:
    image = picture().quantize(8)
    data = encoded(image, "PNG", transparency=bytes(range(8)))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: decode(data, 64), range(64)))
    for array in found:
        np.testing.assert_array_equal(array, oracle(image, 64))
    assert list(warnings.filters) == before


def test_image_errors_cross_processes() -> None:
    with pytest.raises(ImageError) as caught:
        decode(b"", 64)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.stage, copy.error, copy.message) == ("decode", "ValueError", "file is empty")


def test_suffixes_are_lower_case_and_known_to_pillow() -> None:
    known = Image.registered_extensions()
    assert {".jpg", ".jpeg", ".png", ".tif", ".webp", ".gif"} <= set(IMAGE_SUFFIXES)
    assert [s for s in IMAGE_SUFFIXES if s != s.lower() or s not in known] == []
    assert len(set(IMAGE_SUFFIXES)) == len(IMAGE_SUFFIXES)
    assert {known[suffix] for suffix in IMAGE_SUFFIXES} <= set(kinds.FORMATS)

"""TIFF of colours: what was written or libtiff (OpenCV) reads, or a named refusal."""

import itertools
import zlib

import numpy as np
import pytest

from tests.images.files import (
    HEIGHT,
    LAB,
    LAYOUTS,
    RATIONAL,
    WIDTH,
    YCBCR,
    by_opencv,
    handmade_tiff,
    listed,
    outcome,
    ramps,
    shown,
    stored,
    tags,
    tifffile_bytes,
)

EXTRAS: dict[str, list[str]] = {
    "": [],
    "alpha": ["unassalpha"],
    "premultiplied alpha": ["assocalpha"],
    "infrared": ["unspecified"],
    "two more": ["unspecified", "unspecified"],
}


def is_rgb_read(dtype: str, extra: str, planes: str, layout: str) -> bool:
    compressed = layout not in ("plain", "tiles", "strips", "bigtiff")
    if dtype not in ("uint8", "uint16"):
        return False
    if planes == "separate" and not compressed:
        return dtype == "uint8" and extra in ("", "alpha")
    return extra != "two more" or dtype == "uint8" or planes == "separate"


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize(
    ("dtype", "white"),
    [("uint8", 255), ("uint16", 65535), ("int16", 32767), ("uint32", 255), ("float32", 1)],
)
def test_rgb_of_every_type_and_layout(dtype: str, white: int, extra: str, planes: str) -> None:
    values = ramps(3 + len(EXTRAS[extra]))
    if extra == "premultiplied alpha":
        values[..., 3] = 0.5 + 0.5 * values[..., 3]
        values[..., :3] *= values[..., 3:]
    values = stored(values, dtype, white)
    if planes == "separate":
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    found, expected = {}, []
    for order, layout in itertools.product("<>", LAYOUTS):
        options = {"photometric": "rgb", "planarconfig": planes, "byteorder": order}
        data = tifffile_bytes(values, extrasamples=EXTRAS[extra], **options, **LAYOUTS[layout])
        tolerance = 5 if extra == "premultiplied alpha" else 1  # halved values are divided again
        found[f"{order} {layout}"] = outcome(data, shown(ramps(3)), tolerance)
        if is_rgb_read(dtype, extra, planes, layout) and (order, layout) != (">", "bigtiff"):
            expected.append(f"{order} {layout}")
        else:
            named = found[f"{order} {layout}"].startswith
            assert named((f"TIFF of {dtype} RGB", "BigTIFF, big-endian"))
    assert listed(found, "read") == sorted(expected)


def test_grey_with_alpha() -> None:
    grey = ramps(1)
    for extra, factor in (("unassalpha", 1), ("unspecified", 1), ("assocalpha", 0.5)):
        values = stored(np.stack([grey * factor, np.full_like(grey, 0.5)], axis=-1), "uint8", 255)
        data = tifffile_bytes(values, photometric="minisblack", extrasamples=[extra])
        assert outcome(data, shown(grey), 2) == "read"
        planes = np.ascontiguousarray(np.moveaxis(values, -1, 0))
        data = tifffile_bytes(
            planes,
            photometric="minisblack",
            extrasamples=[extra],
            planarconfig="separate",
            compression="zlib",
        )
        found = outcome(data, shown(grey), 2)
        assert found == "read" if factor == 1 else found.endswith("its alpha is lost")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535)])
def test_cmyk(dtype: str, white: int, order: str, layout: str) -> None:
    ink = ramps(4)
    options = {"photometric": "separated", "byteorder": order, **LAYOUTS[layout]}
    data = tifffile_bytes(stored(ink, dtype, white), **options)
    found = outcome(data, shown((1 - ink[..., :3]) * (1 - ink[..., 3:])), 2)
    if (order, layout) == (">", "bigtiff"):
        assert found.startswith("BigTIFF, big-endian")
    else:
        assert found == "read"


def ycbcr(rgb: np.ndarray, red: float = 0.299, blue: float = 0.114) -> np.ndarray:
    luma = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    chroma = (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)
    return np.rint(np.stack([luma, chroma[0] + 128, chroma[1] + 128], axis=-1))


def units(pixels: np.ndarray, wide: int, high: int) -> bytes:
    """YCbCr with one pair of chroma for ``wide`` x ``high`` pixels, as TIFF stores it."""
    out = bytearray()
    for y, x in itertools.product(range(0, HEIGHT, high), range(0, WIDTH, wide)):
        block = pixels[y : y + high, x : x + wide]
        out += block[..., 0].astype(np.uint8).tobytes()
        out += np.rint(block[..., 1:].mean(axis=(0, 1))).astype(np.uint8).tobytes()
    return bytes(out)


@pytest.mark.parametrize("subsampling", [[1, 1], [2, 1], [1, 2], [2, 2], [4, 1]])
@pytest.mark.parametrize("compressed", [False, True])
def test_ycbcr_is_as_libtiff_shows_it(compressed: bool, subsampling: list[int]) -> None:
    picture = 64 + ramps(3) * 128
    data = units(ycbcr(picture), *subsampling)
    page = tags(YCBCR, samples=3, compression=[8 if compressed else 1], subsampling=subsampling)
    file = handmade_tiff([zlib.compress(data) if compressed else data], page)
    assert np.abs(by_opencv(file).astype(int) - picture).max() < 8  # the file holds the picture
    found = outcome(file, by_opencv(file), 2)
    if compressed or subsampling == [1, 1]:
        assert found == "read"
    else:
        expected = "TIFF of uint8 YCbCr, not read: its subsampled colours are not compressed"
        assert found == expected


@pytest.mark.parametrize(
    "more",
    [
        {529: (RATIONAL, [2126, 10000, 7152, 10000, 722, 10000])},
        {532: (RATIONAL, [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1])},
    ],
)
def test_ycbcr_of_other_coefficients_or_range(more: dict) -> None:
    data = units(ycbcr(64 + ramps(3) * 128, 0.2126, 0.0722), 1, 1)
    page = tags(YCBCR, samples=3, subsampling=[1, 1], compression=[8]) | more
    file = handmade_tiff([zlib.compress(data)], page)
    assert outcome(file, by_opencv(file), 2) == "read"
    page = tags(YCBCR, samples=3, subsampling=[1, 1]) | more
    found = outcome(handmade_tiff([data], page), by_opencv(file), 2)
    assert found.endswith("its range or coefficients of YCbCr are not those of JPEG")


def lab_shown(lab: np.ndarray) -> np.ndarray:
    """CIE L*, a*, b* under D50 to sRGB, by the definitions (Bradford adaptation to D65)."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.9642, 1, 0.8249)
    matrix = (
        (3.1338561, -1.6168667, -0.4906146),
        (-0.9787684, 1.9161415, 0.0334540),
        (0.0719453, -0.2289914, 1.4052427),
    )
    linear = np.clip(xyz @ np.array(matrix).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("photometric", [8, 9, 10])
@pytest.mark.parametrize("compressed", [False, True])
def test_lab(photometric: int, compressed: bool) -> None:
    lab = np.rint(ramps(3) * (100, 24, 24) + (100, -12, -12))  # L is stored as L * 2.55
    data = (lab.astype(int) % 256).astype(np.uint8).tobytes()
    page = tags(photometric, samples=3, compression=[8 if compressed else 1])
    found = outcome(
        handmade_tiff([zlib.compress(data) if compressed else data], page),
        shown(lab_shown(lab / (2.55, 1, 1))),
        3,
    )
    if photometric == LAB:
        assert found == "read"
    else:
        assert found.startswith(f"TIFF of uint8 {'ICC' if photometric == 9 else 'ITU'}Lab")

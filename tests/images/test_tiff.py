"""TIFF, grey and the rest: what tifffile or libtiff (OpenCV) reads, or a named refusal."""

import io
import itertools
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.images.files import (
    CMYK,
    GREY,
    HEIGHT,
    LAYOUTS,
    PALETTE,
    SHORT,
    WHITE_IS_0,
    by_opencv,
    handmade_tiff,
    listed,
    outcome,
    packed,
    ramps,
    shown,
    stored,
    tags,
    tifffile_bytes,
)

# -- grey -----------------------------------------------------------------------------------------

# Type, white in the file, and whether such a file is read at all.
GREY_TYPES = [
    ("uint8", 255, True),
    ("uint16", 65535, True),
    ("int32", 255, True),
    ("int32", 65535, True),
    ("uint32", 255, True),
    ("uint32", 65535, True),
    ("float32", 1, True),
    ("float32", 255, True),
    ("float32", 65535, True),
    ("int8", 127, False),
    ("int16", 255, False),
    ("int16", 32767, False),
    ("int32", 2**31 - 1, False),
    ("uint32", 2**32 - 1, False),
    ("uint64", 255, False),
    ("int64", 255, False),
    ("float16", 1, False),
    ("float32", 1e6, False),
    ("float64", 1, False),
    ("float64", 255, False),
]


def is_grey_read(dtype: str, photometric: str, order: str, layout: str) -> bool:
    """For the types that are read at all: what Pillow can."""
    compressed = layout not in ("plain", "tiles", "strips", "bigtiff")
    if order == ">" and layout == "bigtiff":
        return False
    if dtype == "uint8":
        return True
    if dtype == "uint16":
        return photometric == "minisblack" or order == "<"
    swapped = order == ">" and (compressed or dtype == "uint32")
    return photometric == "minisblack" and not swapped


@pytest.mark.parametrize(("dtype", "white", "is_read"), GREY_TYPES)
def test_grey_of_every_type_order_and_layout(dtype: str, white: int, is_read: bool) -> None:
    ways = itertools.product(("minisblack", "miniswhite"), "<>", LAYOUTS)
    found, expected = {}, []
    for photometric, order, layout in ways:
        if "64" in dtype and layout == "lzw with predictor":
            continue  # tifffile has no predictor for these
        name = f"{photometric} {order} {layout}"
        values = stored(ramps(1), dtype, white)
        options = {"photometric": photometric, "byteorder": order, **LAYOUTS[layout]}
        data = tifffile_bytes(values, **options)
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), values)
        picture = shown(ramps(1))
        found[name] = outcome(data, picture if photometric == "minisblack" else 255 - picture, 0)
        if is_read and is_grey_read(dtype, photometric, order, layout):
            expected.append(name)
        else:
            assert found[name].startswith((f"TIFF of {dtype} grey", "BigTIFF, big-endian"))
    assert listed(found, "read") == sorted(expected)


@pytest.mark.parametrize(
    ("bits", "photometric"),
    [
        *itertools.product([1, 2, 3, 4, 6, 8, 10, 12, 14], [GREY, WHITE_IS_0]),
        *itertools.product([1, 2, 3, 4, 6, 8], [PALETTE]),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_of_every_depth(bits: int, order: str, compressed: bool, photometric: int) -> None:
    top = 2**bits - 1
    levels = np.rint(ramps(1) * top)
    data = packed(levels, bits)
    more = {"compression": [8]} if compressed else {}
    if photometric == PALETTE:
        more["colormap"] = [round(65535 * (1 - i / top)) for i in range(top + 1)] * 3
    page = tags(photometric, bits, **more)
    file = handmade_tiff([zlib.compress(data) if compressed else data], page, order)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(file)), levels)
    expected = shown(levels / top)
    found = outcome(file, expected if photometric == GREY else 255 - expected, 0)
    if bits in (1, 2, 4, 8) or (bits, order, photometric) == (12, "<", GREY):
        assert found == "read"
    else:
        assert f"TIFF of uint{bits} " in found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.2, 0.4, 0.6], [0, 51, 102, 153]),  # white is 1
        ([0.0, 0.5, 1.0, 1.001], [0, 128, 255, 255]),  # less than half a level above it
        ([-0.001, 0.5, 1.0, 1.0], [0, 128, 255, 255]),
        ([0.0, 2.0, 51.4, 200.0], [0, 2, 51, 200]),  # white is 255
        ([0.0, 257.0, 25700.0, 257.0], [0, 1, 100, 1]),  # white is 65,535
        ([0.0, 0.0, 0.0, 0.0], [0, 0, 0, 0]),
        ([0.0, 0.2, 0.4, 1.1], "got 0 to 1.1"),  # of 255 this would be black
        ([0.0, 0.001, 0.04, 0.05], "got 0 to 0.05"),
        ([0.0, 2.0, 200.0, 300.0], "got 0 to 300"),
        ([0.0, 1e6, 1.6e6, 4e6], r"got 0 to 4e\+06"),
        ([-0.1, 0.5, 1.0, 1.0], "got -0.1 to 1"),
        ([np.nan, 0.5, 1.0, 1.0], "got nan to nan"),
        ([0.0, 0.5, 1.0, np.inf], "got 0 to inf"),
    ],
)
def test_scale_of_float_grey(values: list[float], expected: list[int] | str) -> None:
    data = tifffile_bytes(np.array([values] * 4, dtype=np.float32), photometric="minisblack")
    check_scale(data, expected, "TIFF of float32 grey", "0 to 1 or 0 to 255 or 0 to 65,535")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 16, 100, 255], [0, 16, 100, 255]),
        ([0, 257, 25700, 65535], [0, 1, 100, 255]),
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([0, 1, 2, 3], "got 0 to 3"),  # labels, not grey
        ([0, 100, 200, 256], "got 0 to 256"),
        ([0, 100, 1000, 65536 * 2], "got 0 to 131,072"),
        ([-1, 257, 25700, 65535], [0, 1, 100, 255]),  # less than half a level below
        ([-200, 100, 1000, 65535], "got -200 to 65,535"),
    ],
)
def test_scale_of_32_bit_integers(values: list[int], expected: list[int] | str) -> None:
    data = tifffile_bytes(np.array([values] * 4, dtype=np.int32), photometric="minisblack")
    check_scale(data, expected, "TIFF of int32 grey", "0 to 255 or 0 to 65,535")


def check_scale(data: bytes, expected: list[int] | str, kind: str, ranges: str) -> None:
    picture = np.zeros((HEIGHT, HEIGHT, 3), np.uint8)
    if isinstance(expected, str):
        found = outcome(data, picture)
        assert found.startswith(f"{kind}, not read: its values must fill {ranges}, ")
        assert found.endswith(expected.replace("\\", ""))
    else:
        small = np.array([expected] * 4, dtype=np.uint8)
        large = Image.fromarray(small).resize((HEIGHT, HEIGHT), Image.Resampling.BILINEAR)
        assert outcome(data, np.repeat(np.asarray(large)[..., None], 3, axis=2), 0) == "read"


# -- compression, and the rest --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "dtype", "expected"),
    [
        ("lzma", "uint8", "read"),
        ("lzma", "uint16", "read"),
        ("jpeg2000", "uint8", "compressed by JPEG 2000, not read"),
        ("jpeg2000", "uint16", "compressed by JPEG 2000, not read"),
        ("jpegxl", "uint8", "compressed by JPEG XL, not read"),
        ("jpegxr", "uint8", "compressed by JPEG XR, not read"),
        ("lerc", "uint8", "compressed by LERC, not read"),
        ("png", "uint16", "compressed by PNG, not read"),
    ],
)
def test_compressions(compression: str, dtype: str, expected: str) -> None:
    values = stored(ramps(3), dtype, np.iinfo(dtype).max)
    data = tifffile_bytes(values, photometric="rgb", compression=compression)
    found = outcome(data, shown(ramps(3)))
    assert expected in found
    assert found == "read" or found.startswith(f"TIFF of {dtype} RGB")


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}, {"rowsperstrip": 16}])
def test_jpeg_in_tiff(subsampling: tuple[int, int], layout: dict) -> None:
    picture = 0.25 + 0.5 * ramps(3)
    options = {"photometric": "rgb", "compression": "jpeg", "subsampling": subsampling}
    data = tifffile_bytes(stored(picture, "uint8", 255), **options, **layout)
    assert outcome(data, shown(picture), 4) == "read"


def test_jpeg_of_12_bits_in_tiff() -> None:
    values = stored(ramps(1), "uint16", 4095)
    options = {"photometric": "minisblack", "compression": "jpeg", "bitspersample": 12}
    data = tifffile_bytes(values, **options)
    found = outcome(data, shown(ramps(1)), 3)
    assert found == "read" or found.startswith("TIFF of uint12 grey, compressed by JPEG: ")


def test_libtiffs_own_errors_name_the_kind() -> None:
    data = zlib.compress(stored(ramps(1), "uint8", 255).tobytes())
    file = handmade_tiff([data[:50]], tags(GREY, compression=[8]))
    found = outcome(file, shown(ramps(1)))
    assert found == "TIFF of uint8 grey, compressed by deflate: decoder error -2"


def test_palette_of_8_bits_is_as_libtiff_shows_it() -> None:
    levels = stored(ramps(1), "uint8", 255)
    colours = [*range(256), *range(255, -1, -1), *[7] * 256]
    file = handmade_tiff([levels.tobytes()], tags(PALETTE, colormap=colours))
    assert outcome(file, by_opencv(file), 0) == "read"
    assert by_opencv(file)[-1, -1].tolist() == [255, 0, 7]


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_reversed_bits(bits: int) -> None:
    top = 2**bits - 1
    levels = np.rint(ramps(1) * top)
    data = levels.astype("<u2").tobytes() if bits == 16 else packed(levels, bits)
    backwards = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    file = handmade_tiff([data.translate(backwards)], tags(GREY, bits, fill_order=[2]))
    assert outcome(file, shown(levels / top)) == "read"


def test_first_page_of_several() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for values in (ramps(1), 1 - ramps(1)):
            writer.write(stored(values, "uint16", 65535), photometric="minisblack")
    assert outcome(buffer.getvalue(), shown(ramps(1))) == "read"


def test_thumbnail_of_a_camera() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        values = stored(ramps(3), "uint8", 255)
        writer.write(values, photometric="rgb", subfiletype=1, subifds=1)
        writer.write(np.zeros((99, 99), np.uint16), photometric="cfa")
    found = outcome(buffer.getvalue(), shown(ramps(3)))
    assert found.endswith("not read: its first page is a reduced copy of another")


LEVELS = stored(ramps(1), "uint8", 255).tobytes()
INKS = stored(ramps(4), "uint8", 255).tobytes()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (handmade_tiff([LEVELS], tags(4)), "TIFF of uint8 mask, not read"),
        (handmade_tiff([LEVELS], tags(32803)), "TIFF of uint8 colour filter array, not read"),
        (handmade_tiff([LEVELS], tags(77)), "TIFF of uint8 colours of kind 77, not read"),
        (
            handmade_tiff([LEVELS], {k: v for k, v in tags(GREY).items() if k != 262}),
            "without photometric interpretation, not read: it does not say whether 0 is black",
        ),
        (
            handmade_tiff([INKS], {**tags(CMYK, samples=4), 332: (SHORT, [2])}),
            "TIFF of uint8 CMYK, not read: its inks are not CMYK",
        ),
        (
            handmade_tiff([LEVELS], {**tags(GREY), 339: (SHORT, [5])}),
            "TIFF of complex int8 grey, not read",
        ),
        (
            handmade_tiff([INKS], tags(GREY, samples=4, extra=[0, 0, 0])),
            "TIFF of uint8 grey and 3 extra samples, not read",
        ),
        (
            handmade_tiff([LEVELS], tags(GREY, rows_per_strip=[8])),
            "TIFF of uint8 grey, not read: its strips or tiles do not cover it",
        ),
        (
            tifffile_bytes(
                stored(ramps(1), "int32", 255),
                photometric="minisblack",
                byteorder=">",
                compression="zlib",
            ),
            "TIFF of int32 grey, big-endian, compressed by deflate, not read: its bytes come",
        ),
        (handmade_tiff([LEVELS], tags(GREY))[:-90], "TIFF "),
        (b"II*\0\x08\0\0\0", "TIFF without tags, not read"),
        (b"MM\0*", "TIFF with damaged tags, not read"),
    ],
)
def test_other_kinds_are_named(file: bytes, expected: str) -> None:
    found = outcome(file, shown(ramps(1)))
    assert expected in found
    assert found.startswith("TIFF ")

"""Pictures and files for the tests of decoding, written here or by tifffile and imagecodecs."""

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile

from kdsspark.errors import ImageError
from kdsspark.images.decoding import decode

HEIGHT, WIDTH = 48, 64


def ramps(channels: int) -> np.ndarray:
    """Values from 0 to 1, different in each channel: ``[height, width, channels]``; one: 2-D."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    right, down = x / (WIDTH - 1), y / (HEIGHT - 1)
    both = (x + y) / (HEIGHT + WIDTH - 2)
    planes = [right, down, both, 1 - right, 0.5 + 0.5 * np.sin(x / 9)]
    return both if channels == 1 else np.stack(planes[:channels], axis=-1)


def stored(values: np.ndarray, dtype: str, white: float) -> np.ndarray:
    """Values from 0 to 1 as a file of that type holds them, ``white`` being 1."""
    scaled = values * white
    return (scaled if np.dtype(dtype).kind == "f" else np.rint(scaled)).astype(dtype)


def shown(values: np.ndarray) -> np.ndarray:
    """Values from 0 to 1 as a picture of 8 bits: ``[height, width, channels=3]``."""
    grey = np.rint(values * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey[..., :3]


def outcome(data: bytes, expected: np.ndarray, tolerance: int = 1) -> str:
    """What :func:`decode` does: ``read``, ``wrong``, or the text of its error."""
    try:
        found = decode(data, HEIGHT)
    except ImageError as error:
        return error.message
    assert found.shape == expected.shape
    return "read" if np.abs(found.astype(int) - expected).max() <= tolerance else "wrong"


def tifffile_bytes(values: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def by_opencv(data: bytes) -> np.ndarray:
    """The picture that OpenCV reads, with libtiff or libpng."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of integers of a few bits each, every row filled up to whole bytes."""
    rows = values.reshape(len(values), -1).astype(np.int64)
    ones = (rows[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(ones.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


SHORT, LONG, RATIONAL = 3, 4, 5  # types of tags
WHITE_IS_0, GREY, PALETTE, CMYK, YCBCR, LAB = 0, 1, 3, 5, 6, 8  # photometric interpretations

# How tifffile lays out the pixels of a page.
LAYOUTS: dict[str, dict[str, object]] = {
    "plain": {},
    "deflate": {"compression": "zlib"},
    "lzw with predictor": {"compression": "lzw", "predictor": True},
    "packbits": {"compression": "packbits"},
    "tiles": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 7},
    "bigtiff": {"bigtiff": True},
}


def listed(found: dict[str, str], text: str) -> list[str]:
    return sorted(name for name, what in found.items() if what == text)


def handmade_tiff(
    strips: list[bytes], tags: dict[int, tuple[int, list[int]]], order: str = "<"
) -> bytes:
    """A TIFF of one page with these tags: ``{number: (type, values)}``. See :func:`tags`."""
    out = bytearray(b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0")
    offsets = []
    for strip in strips:
        offsets.append(len(out))
        out += strip + b"\0" * (len(strip) % 2)
    places = {273: (LONG, offsets), 279: (LONG, [len(strip) for strip in strips])}
    entries = b""
    for number, (kind, values) in sorted({**places, **tags}.items()):
        data = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        count = len(values) // (2 if kind == RATIONAL else 1)
        if len(data) > 4:  # behind the pixels, and here only its place
            out += data
            data = struct.pack(f"{order}I", len(out) - len(data))
        entries += struct.pack(f"{order}HHI", number, kind, count) + data.ljust(4, b"\0")
    struct.pack_into(f"{order}I", out, 4, len(out))
    number_of_entries = struct.pack(f"{order}H", len(entries) // 12)
    return bytes(out) + number_of_entries + entries + b"\0\0\0\0"


def tags(photometric: int, bits: int = 8, samples: int = 1, **more: list[int]) -> dict:
    """The tags of an uncompressed page of one strip, and more by name."""
    names = {"compression": 259, "subsampling": 530, "planes": 284, "extra": 338}
    names |= {"colormap": 320, "fill_order": 266, "subfile": 254, "rows_per_strip": 278}
    basic = {256: [WIDTH], 257: [HEIGHT], 258: [bits] * samples, 259: [1], 262: [photometric]}
    basic |= {277: [samples], 278: [HEIGHT]} | {names[name]: more[name] for name in more}
    return {number: (SHORT, values) for number, values in basic.items()}


def png(values: np.ndarray, bits: int, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of integers ``[height, width, channels]`` with more chunks before the pixels."""
    rows = packed(values, bits)
    step = len(rows) // len(values)
    lines = b"".join(b"\0" + rows[i : i + step] for i in range(0, len(rows), step))
    shape = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour_type, 0, 0, 0)
    parts = ((b"IHDR", shape), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )

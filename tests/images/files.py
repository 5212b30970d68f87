"""Pictures and files for the tests of decoding, written here or by tifffile and imagecodecs."""

import io
import struct
import zlib

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


def packed(values: np.ndarray, bits: int, row_bytes: int = 1) -> bytes:
    """Rows of integers of a few bits each, every row filled up to a multiple of ``row_bytes``."""
    rows = values.reshape(len(values), -1).astype(np.int64)
    ones = (rows[..., None] >> np.arange(bits)[::-1]) & 1
    data = np.packbits(ones.reshape(len(rows), -1).astype(np.uint8), axis=1)
    return np.pad(data, ((0, 0), (0, -data.shape[1] % row_bytes))).tobytes()


SHORT, LONG, RATIONAL = 3, 4, 5


def handmade_tiff(
    strips: list[bytes], tags: dict[int, tuple[int, list[int]]], order: str = "<"
) -> bytes:
    """A TIFF of one page with these tags: ``{number: (type, values)}``. See :func:`grey_tags`."""
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
        if len(data) > 4:
            data, place = b"", struct.pack(f"{order}I", len(out))
            out += struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
            out += b"\0" * (len(out) % 2)
            data = place
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

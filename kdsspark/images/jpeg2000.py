"""What the headers of a JPEG 2000 file say about its pixels.

Pillow reads components of 8 bits, and grey of 9 to 16. It opens more than that: colours of more
bits lose their brightest level, which becomes black; fewer bits become too dark; and it takes no
notice of most colour spaces, of subsampled colours without one, and of channels in another order.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from PIL import Image

from kdsspark.images.levels import Levels

_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_COMPONENTS: Final = 40  # from the codestream's first byte to the number of components
_COLOUR_SPACE: Final = re.compile(rb"colr\x01..(....)", re.DOTALL)
_CMYK, _SRGB, _GREY, _SYCC = 12, 16, 17, 18
_CHANNELS: Final = re.compile(rb"cdef(..)", re.DOTALL)


def prepare(image: Image.Image, data: bytes) -> Levels:
    """What the values of an opened JPEG 2000 file mean.

    Raises NotImplementedError for what Pillow opens and would read wrongly.
    """
    bits, subsampled = _components(data)
    header = data[: data.find(_CODESTREAM)]
    if fault := _fault(image.mode, set(bits), subsampled, header):
        raise NotImplementedError(f"{kind(data)}, not read: {fault}")
    # Pillow shifts the values of grey, so that 2 ** 15 is the highest bit.
    white = 255 if max(bits) == 8 else (2 ** max(bits) - 1) << (16 - max(bits))
    return Levels(kind(data), white)


def kind(data: bytes) -> str:
    """The kind of a JPEG 2000 file: ``JPEG 2000 of 16-bit samples, 3 a pixel``."""
    try:
        bits, _ = _components(data)
    except ValueError as error:
        return str(error)
    widths = " and ".join(str(width) for width in sorted(set(bits)))
    return f"JPEG 2000 of {widths}-bit samples, {len(bits)} a pixel"


def _components(data: bytes) -> tuple[list[int], bool]:
    """The bits of each component, and whether one has fewer samples than the image has pixels."""
    start = data.find(_CODESTREAM) + _COMPONENTS
    try:
        (count,) = struct.unpack_from(">H", data, start)
        rows = [struct.unpack_from("BBB", data, start + 2 + 3 * i) for i in range(count)]
    except struct.error as error:
        raise ValueError("JPEG 2000 whose header is cut off") from error
    return [(depth & 127) + 1 for depth, _, _ in rows], any((x, y) != (1, 1) for _, x, y in rows)


def _fault(mode: str, bits: set[int], subsampled: bool, header: bytes) -> str | None:
    """What Pillow, which opens the file in ``mode``, would get wrong; None: nothing."""
    if not bits <= (set(range(9, 17)) if mode == "I;16" else {8}):
        return "its samples are not of 8 bits"
    if subsampled:
        return "its colours are subsampled"
    known = {_CMYK} if mode == "CMYK" else {_SRGB, _GREY, _SYCC}
    for (code,) in (struct.unpack(">I", text) for text in _COLOUR_SPACE.findall(header)):
        if code not in known:
            return f"its colour space is {code}"
    if b"pclr" in header and mode not in ("P", "PA"):
        return "its palette is not applied"
    return "its channels are in another order" if _is_reordered(header) else None


def _is_reordered(header: bytes) -> bool:
    """Whether a colour is stored elsewhere than at its place: blue first, or alpha before it."""
    found = _CHANNELS.search(header)
    if found is None:
        return False
    count = int.from_bytes(found[1])
    rows = struct.iter_unpack(">HHH", header[found.end() : found.end() + 6 * count])
    return any(type == 0 and place not in (0, number + 1) for number, type, place in rows)

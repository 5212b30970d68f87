"""What the tags of a TIFF say about its pixels.

TIFF has more combinations of sample types, colour spaces and layouts than any program reads.
Pillow refuses most of those that it does not know, but opens a few whose pixels it then gets
wrong. :func:`prepare` mends these or refuses them.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from PIL import ImagePalette, TiffImagePlugin

from kdsspark.images.levels import Levels

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 254, 258, 259, 262, 277
_WIDTH, _HEIGHT, _STRIPS, _STRIP_HEIGHT = 256, 257, 273, 278
_TILES, _TILE_WIDTH, _TILE_HEIGHT = 324, 322, 323
_PLANES, _COLORMAP, _SUBPAGES, _INKS, _EXTRA, _FORMAT = 284, 320, 330, 332, 338, 339
_COEFFICIENTS, _SUBSAMPLING, _REFERENCE = 529, 530, 532

_MISSING: Final = -1
_GREY_WHITE_IS_0, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS: Final = {
    _MISSING: "without photometric interpretation",
    _GREY_WHITE_IS_0: "grey (0 is white)",
    _GREY: "grey",
    _RGB: "RGB",
    _PALETTE: "palette",
    4: "mask",
    _CMYK: "CMYK",
    _YCBCR: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_COLOUR_SAMPLES: Final = {_RGB: 3, _CMYK: 4, _YCBCR: 3, 8: 3, 9: 3, 10: 3, 32845: 3, 34892: 3}
_TYPES: Final = {1: "uint", 2: "int", 3: "float", 4: "undefined", 5: "complex int", 6: "complex"}
_UNCOMPRESSED: Final = 1
_COMPRESSIONS: Final = {
    **{2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old-style JPEG", 7: "JPEG"},
    **{8: "deflate", 32773: "PackBits", 32946: "deflate", 33003: "JPEG 2000"},
    **{33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC"},
    **{34892: "lossy JPEG", 34925: "LZMA", 34927: "WebP", 34933: "PNG", 34934: "JPEG XR"},
    **{50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"},
}
_ALPHA: Final = 2  # not multiplied into the colours
_FULL_RANGE: Final = (0, 255, 128, 255, 128, 255)
_LUMA: Final = (0.299, 0.587, 0.114)


def prepare(image: TiffImagePlugin.TiffImageFile) -> Levels:
    """What the values of a TIFF mean. Call it between opening and loading the image.

    Raises NotImplementedError for what Pillow opens and would read wrongly.
    """
    tags = _Tags(image.tag_v2)
    if fault := tags.fault(image.mode):
        raise NotImplementedError(f"{tags.kind}, not read: {fault}")
    if tags.has_palette_of_8_bits():
        # The specification says 16 bits; libtiff and what is built on it take these as meant.
        image.palette = ImagePalette.raw("RGB;L", bytes(image.tag_v2[_COLORMAP]))
    white = tags.type if image.mode in ("I", "F") else 2**tags.bits - 1
    return Levels(tags.kind, white, inverted=tags.photometric == _GREY_WHITE_IS_0)


def kind(data: bytes) -> str:
    """The kind of a TIFF that Pillow does not open: ``TIFF of float64 grey``."""
    if data.startswith(b"MM\0+"):
        return "BigTIFF, big-endian"  # Pillow takes it for a plain TIFF
    try:
        header = data[:16] if data[2:3] == b"+" else data[:8]
        tags = TiffImagePlugin.ImageFileDirectory_v2(header)
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return _Tags(tags).kind if len(tags) else "TIFF without tags"
    except Exception:  # whatever a damaged directory leads to
        return "TIFF with damaged tags"


class _Tags:
    """The tags of a page that decide how its pixels are stored."""

    def __init__(self, tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
        get: Any = tags.get
        self._get = get
        self.photometric: int = get(_PHOTOMETRIC, _MISSING)
        widths, formats = set(get(_BITS, (1,))), set(get(_FORMAT, (1,)))
        self.bits: int = max(widths)
        self.type = "+".join(
            f"{_TYPES.get(format, 'unknown')}{bits}" for format in formats for bits in widths
        )
        self._compression: int = get(_COMPRESSION, _UNCOMPRESSED)
        self._samples: int = get(_SAMPLES, 1)
        self._planes = get(_PLANES, 1) == 2 and self._samples > 1
        self._has_next = bool(tags.next)
        self._big_endian = tags.prefix == b"MM"

    @property
    def kind(self) -> str:
        """Such as ``TIFF of uint16 RGB and 1 extra sample, big-endian, compressed by LZW``."""
        colours = _COLOURS.get(self.photometric, f"colours of kind {self.photometric}")
        parts = [f"TIFF of {self.type} {colours}"]
        extra = self._samples - _COLOUR_SAMPLES.get(self.photometric, 1)
        if extra > 0:
            parts[0] += f" and {extra} extra sample{'s' * (extra > 1)}"
        if self._planes:
            parts.append("in separate planes")
        if self._big_endian:
            parts.append("big-endian")
        if self._compression != _UNCOMPRESSED:
            name = _COMPRESSIONS.get(self._compression, f"method {self._compression}")
            parts.append(f"compressed by {name}")
        return ", ".join(parts)

    def fault(self, mode: str) -> str | None:
        """What Pillow, which opens such a file in ``mode``, would get wrong; None: nothing."""
        swapped = self._big_endian and self._compression != _UNCOMPRESSED
        faults = {
            "it does not say whether 0 is black": self.photometric == _MISSING,
            "its first page is a reduced copy of another": self._is_reduced(),
            "its inks are not CMYK": self.photometric == _CMYK and self._get(_INKS, 1) != 1,
            # Pillow reads the first as unsigned; for the second no value is customarily white.
            "its values are signed": self.type in ("int8", "int16"),
            "it does not say which value is black": mode in ("I", "F")
            and self.photometric == _GREY_WHITE_IS_0,
            "its bytes come in the wrong order": mode in ("I", "F") and swapped,
            "its alpha is lost": mode == "La" and self._planes,
        }
        found = next((text for text, holds in faults.items() if holds), None)
        return found or (self._layout_fault() if self._compression == _UNCOMPRESSED else None)

    def has_palette_of_8_bits(self) -> bool:
        """Whether no entry of the palette exceeds 255: white should be 65,535."""
        return self.photometric == _PALETTE and max(self._get(_COLORMAP)) < 256

    def _is_reduced(self) -> bool:
        """Whether the page is a thumbnail, as the first one of a camera's raw file is."""
        return bool(self._get(_SUBFILE, 0) & 1 and (self._has_next or self._get(_SUBPAGES)))

    def _layout_fault(self) -> str | None:
        """As :meth:`fault`, for uncompressed files, which Pillow reads without libtiff."""
        if self._lacks_strips():
            return "its strips or tiles do not cover it"
        if self._planes:
            plain = self.bits == 8 and self.photometric in (_RGB, _CMYK)
            if not plain or self._get(_EXTRA, ()) not in ((), (_ALPHA,)):
                return "its planes are not compressed"
        if self.photometric == _YCBCR and self._get(_SUBSAMPLING, (2, 2)) != (1, 1):
            return "its subsampled colours are not compressed"
        luma = [float(weight) for weight in self._get(_COEFFICIENTS, _LUMA)]
        usual = self._get(_REFERENCE, _FULL_RANGE) == _FULL_RANGE and np.allclose(
            luma, _LUMA, 0, 1e-3
        )
        if self.photometric == _YCBCR and not usual:
            return "its range or coefficients of YCbCr are not those of JPEG"
        return None

    def _lacks_strips(self) -> bool:
        """Whether strips or tiles do not cover the picture: what they lack would be black."""
        width, height = self._get(_WIDTH), self._get(_HEIGHT)
        offsets = self._get(_STRIPS)
        if offsets is None:
            offsets = self._get(_TILES)
            columns, rows = self._get(_TILE_WIDTH), self._get(_TILE_HEIGHT)
        else:
            columns, rows = width, self._get(_STRIP_HEIGHT, height)
        count = -(-width // columns) * -(-height // rows) * (self._samples if self._planes else 1)
        return len(offsets) < count or 0 in offsets[:count]

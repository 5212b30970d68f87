"""Which files are pictures that can be read, by their first bytes, and what the others are."""

from __future__ import annotations

import importlib
import io
import re
from importlib.util import find_spec
from typing import Final

import numpy as np
from PIL import Image, PpmImagePlugin, TiffImagePlugin, UnidentifiedImageError

from kdsspark.images import jpeg2000, tiff
from kdsspark.images.levels import Levels

# Only what decodes within Pillow: its EPS reader, for one, would start another program.
FORMATS: Final = (
    *("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF"),
)
"""Pillow's names of the formats that are read."""

_KINDS: Final = {"TIFF": tiff.kind, "JPEG2000": jpeg2000.kind}
_HEIF: Final = re.compile(rb"....ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)
_OTHERS: Final = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
        (rb"II\xbc", "JPEG XR"),
        (rb"P7\s", "PAM"),
        (rb"PF\s", "PFM of float32 RGB"),
        (rb"8BPS", "Photoshop document"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
        (rb"%PDF", "PDF"),
        (rb"v/1\x01", "OpenEXR"),
        (rb"#\?R", "Radiance HDR"),
        (rb"qoif", "QOI"),
        (rb"DDS ", "DDS"),
        (rb"\0\0[\x01\x02]\0", "Windows icon or cursor"),
        (rb"SIMPLE  =", "FITS"),
        (rb".{128}DICM", "DICOM"),
        (rb"\x89HDF", "HDF5"),
        (rb"\x93NUMPY", "NumPy array"),
        (rb"....ftyp(?:qt|iso|mp4|M4V)|\x1a\x45\xdf\xa3|RIFF....AVI", "video"),
        (rb"PK\x03\x04", "ZIP archive"),
        (rb"\x1f\x8b", "gzip"),
        (rb"version https://git-lfs", "Git LFS pointer in place of the image"),
        (rb"(?i)\s*<(?:!doctype )?html", "web page"),
        (rb"(?i)\s*<(?:\?xml|svg)", "SVG or other XML"),
    )
)


def opened(data: bytes) -> Image.Image:
    """Open an image without decoding its pixels.

    Raises NotImplementedError for a known kind of file that is not read, UnidentifiedImageError
    for what Pillow does not open, and its DecompressionBombError for far too many pixels.
    """
    Image.init()  # a Pillow may lack formats, and naming one of those would be a KeyError
    try:
        return Image.open(
            io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN]
        )
    except (OSError, ValueError) as error:
        if _HEIF.match(data) and find_spec("pillow_heif"):
            # Not registered with Pillow, whose formats belong to the whole process.
            plugin = importlib.import_module("pillow_heif")
            image: Image.Image = plugin.HeifImageFile(io.BytesIO(data))
            return image
        # Pillow's own text names the address of a buffer.
        raise _refusal(data) from error


def prepare(image: Image.Image, data: bytes) -> Levels:
    """What the values of an opened image mean. Call it before loading the image.

    Raises NotImplementedError for what Pillow opens and would read wrongly.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return tiff.prepare(image)
    if image.format == "JPEG2000":
        return jpeg2000.prepare(image, data)
    if image.mode == "F":
        return Levels("PFM of float32 grey", "float32")
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        _check_maximum(image, data)
    return Levels(image.format or "image")


def _check_maximum(image: PpmImagePlugin.PpmImageFile, data: bytes) -> None:
    """Raise ValueError where a value exceeds the maximum of its own PNM: Pillow would clip it."""
    codec, _, start, args = image.tile[0]
    if codec == "ppm" and isinstance(args, tuple):
        maximum = args[1]
        dtype = np.dtype("u1" if maximum < 256 else ">u2")
        stored = (len(data) - start) // dtype.itemsize
        count = min(image.width * image.height * len(image.getbands()), stored)
        top = np.frombuffer(data, dtype, count, start).max(initial=0)
        if top > maximum:
            raise ValueError(f"PNM must have values up to {maximum}, as its header says, got {top}")


def _refusal(data: bytes) -> Exception:
    """The error for what Pillow does not open: says what the file is, as far as it shows."""
    if _HEIF.match(data):
        return NotImplementedError("HEIF, not read without the extra: pip install 'kdsspark[heif]'")
    for pattern, name in _OTHERS:
        if pattern.match(data):
            return NotImplementedError(f"{name}, not read")
    for name in FORMATS:
        if reason := _reason(name, data):
            kind = _KINDS[name](data) if name in _KINDS else name
            return UnidentifiedImageError(f"{kind}, not read: {reason}")
    return UnidentifiedImageError(
        f"must begin like one of {', '.join(FORMATS)}; damaged, or something else"
    )


def _reason(format: str, data: bytes) -> str | None:
    """Why Pillow does not open a file that begins like one of ``format``; None: it does not."""
    factory, accept = Image.OPEN.get(format, (None, None))
    if factory is None or accept is None:
        return None
    begins = accept(data[:16].ljust(16, b"\0"))
    if isinstance(begins, str):  # this Pillow was built without the format
        return begins
    try:
        if begins:
            factory(io.BytesIO(data), "")
    except Exception as error:
        return str(error) or type(error).__name__
    return None

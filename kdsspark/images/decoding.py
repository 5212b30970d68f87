"""One image: fetch its bytes, decode them to RGB, resize. Runs on executors.

Every failure of an image is an :class:`~kdsspark.errors.ImageError`, which becomes a row of
``failures``. No other exception and no warning of Pillow leaves this module. It changes neither
Pillow's settings nor, after a call, the warning filters of the process.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from kdsspark.errors import ImageError
from kdsspark.images import kinds
from kdsspark.images.fetch import fetch
from kdsspark.images.levels import to_rgb

IMAGE_SUFFIXES: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx", ".avif"),
)
"""Lower-case suffixes of the files that are taken for images."""

EXTRA_SUFFIXES: Final = {".heic": "heif", ".heif": "heif", ".hif": "heif"}
"""Lower-case suffixes of the images that an extra of this package reads, and the extra's name."""

_PLUGINS: Final = {"heif": "pillow_heif"}

MAX_BYTES: Final = 2**29
"""Largest image read, in bytes (512 MiB)."""

MAX_PIXELS: Final = 2**27
"""Most pixels of an image, as stored and again as resized: 134 million, 0.5 GiB of memory.

The limit on the resized image refuses only extreme shapes: at a short side of 256 pixels, those
that are more than 2,048 times as long as they are wide.
"""

INTERPOLATIONS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""The ways to resize, by their names in the configuration."""

_ORIENTATION_TAG: Final = 0x0112
_ON_ITS_SIDE: Final = (5, 6, 7, 8)
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def image_suffixes() -> tuple[str, ...]:
    """Lower-case suffixes of the images that this process can read, with the extras it has."""
    installed = (
        suffix for suffix, extra in EXTRA_SUFFIXES.items() if find_spec(_PLUGINS[extra]) is not None
    )
    return (*IMAGE_SUFFIXES, *installed)


def read(uri: str) -> bytes:
    """Fetch the bytes of ``uri``: a file, or an image within one (:mod:`kdsspark.images.fetch`).

    Raises :class:`ImageError` with stage ``read`` for any failure and for an image of more than
    :data:`MAX_BYTES`. Its ``error`` is the class of the underlying exception
    (``FileNotFoundError``, ``PermissionError``, ...).
    """
    try:
        return fetch(uri, MAX_BYTES)
    except Exception as error:
        raise _image_error("read", error) from error


@dataclass(frozen=True)
class Decoder:
    """:func:`decode` with its settings, as threads call it and as other processes get it."""

    short_side: int
    interpolation: str = "bilinear"

    def __call__(self, data: bytes) -> npt.NDArray[np.uint8]:
        """RGB uint8 [height, width, channels=3] of an encoded image."""
        return decode(data, self.short_side, self.interpolation)


def decode(data: bytes, short_side: int, interpolation: str = "bilinear") -> npt.NDArray[np.uint8]:
    """Decode an encoded image to RGB and resize its short side to ``short_side`` pixels.

    Returns uint8 ``[height, width, channels=3]``. For pictures of 8 bits it equals
    ``torchvision.transforms.functional.resize(image.convert("RGB"), short_side)`` of the PIL
    image, with one of :data:`INTERPOLATIONS` and antialias, long side
    ``int(short_side * long / short)``. Before that:

    - The EXIF orientation is applied. Unreadable EXIF counts as upright.
    - The first picture of an animation, or the first page, is taken.
    - Transparency is dropped, not blended: hidden pixels show the colour stored for them.
    - Grey of 9 to 16 bits is scaled so that the largest value of its type becomes 255. Colour of
      16 bits keeps the upper 8, as Pillow reads it. Grey whose value 0 is white is inverted.
    - Grey of 32 bits, integer or float, says nowhere which value is white. It is the smallest of
      1 (float only), 255 and 65,535 that no pixel exceeds, and it must be plausible: no value is
      below 0 or NaN, and the brightest pixel reaches a 16th of it. A picture of zeros is black.
    - CIELab becomes sRGB. Other colour profiles, gamma and HDR transfer functions are ignored,
      and CMYK is converted without a profile.

    Raises :class:`ImageError` with stage ``decode`` for all else: damaged, empty, no picture, a
    kind of picture that is not read (the message names it), or more than :data:`MAX_PIXELS`. The
    header alone decides the last two, before pixels are decoded, but for 32-bit grey.
    """
    try:
        with _quiet, _opened(data) as image:
            size = _resized(image.size, short_side)
            rgb = _rgb(image, data)
            if rgb.width > rgb.height:
                size = size[::-1]
            return np.array(rgb.resize(size, INTERPOLATIONS[interpolation]), dtype=np.uint8)
    except Exception as error:
        raise _image_error("decode", error) from error


def picture(data: bytes, short_side: int) -> Image.Image:
    """An encoded image for people to look at: RGB like :func:`decode`, but in its own size.

    A JPEG whose short side is 2, 4 or 8 times ``short_side`` or more is decoded at that part of its
    size, in a quarter of the time or less. Raises :class:`ImageError` like :func:`decode`.
    """
    try:
        with _quiet, _opened(data) as image:
            _resized(image.size, short_side)
            image.draft(None, (short_side, short_side))
            return _rgb(image, data)
    except Exception as error:
        raise _image_error("decode", error) from error


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of an encoded image, as stored, once its EXIF orientation is applied.

    Raises :class:`ImageError` like :func:`decode`.
    """
    try:
        with _quiet, kinds.opened(data) as image:
            turned = _orientation(image) in _ON_ITS_SIDE
            return image.size[::-1] if turned else image.size
    except Exception as error:
        raise _image_error("decode", error) from error


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise ValueError("file is empty")
    return kinds.opened(data)


def _rgb(image: Image.Image, data: bytes) -> Image.Image:
    """The pixels of an opened image."""
    levels = kinds.prepare(image, data)
    _load(image, levels.kind)
    return to_rgb(_upright(image), levels)


def _image_error(stage: str, error: Exception) -> ImageError:
    text = " ".join(str(error).split()) or "no further detail"
    return ImageError(stage, type(error).__name__, text)


def _resized(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """``(short, long)`` in pixels after resizing; raises DecompressionBombError above the limit."""
    short, long = sorted(size)
    target = short_side, int(short_side * long / short)
    for what, (width, height) in (("image", size), ("resized image", target)):
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError(
                f"{what} must have at most {MAX_PIXELS:,} pixels, got {width} x {height}"
            )
    return target


def _load(image: Image.Image, kind: str) -> None:
    try:
        image.load()
    except OSError as error:  # often no more than "decoder error -2"
        raise OSError(f"{kind}: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # broken metadata, of whatever kind, does not make a broken picture
        return 1
    return orientation if isinstance(orientation, int) else 1


class _Quiet:
    """Ignores Pillow's warnings while any thread is inside; then the filters are as before.

    The filters belong to the process. With one ``catch_warnings`` per thread the last to leave
    would bring back the filters that another had set; here only the first in and the last out
    touch them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\b")
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()

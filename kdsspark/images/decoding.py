"""One image: fetch its bytes, decode them to RGB, resize. Runs on executors.

Whatever goes wrong with one image is an :class:`~kdsspark.errors.ImageError`, which becomes a
row of ``failures``. Nothing here raises anything else or lets a warning of Pillow escape, and
Pillow's settings and the process's warning filters are as before afterwards.
"""

from __future__ import annotations

import io
import threading
import warnings
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from kdsspark.errors import ImageError
from kdsspark.images.fetch import fetch

IMAGE_SUFFIXES: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx", ".avif"),
)
"""Lower-case suffixes of the files that are taken for images."""

MAX_BYTES: Final = 2**29
"""Largest image read, in bytes (512 MiB)."""

MAX_PIXELS: Final = 2**27
"""Most pixels of an image (134 million, 0.5 GiB of memory), as stored and again as resized.

The second refuses extreme shapes only: at a short side of 256, longer than 2,048 times as wide.
"""

# Only what decodes within Pillow: its EPS reader, for one, would start another program.
_FORMATS: Final = (
    *("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF"),
)
_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_INTEGER_WHITES: Final = (65535,)
_FLOAT_WHITES: Final = (1, 255, 65535)


def read(uri: str) -> bytes:
    """Fetch the bytes of ``uri``: a file, or an image within one (:mod:`kdsspark.images.fetch`).

    Raises :class:`ImageError` with stage ``read`` for any failure, ``error`` being the class of
    the underlying exception (``FileNotFoundError``, ``PermissionError``, ...), and for an image
    above :data:`MAX_BYTES`.
    """
    try:
        return fetch(uri, MAX_BYTES)
    except Exception as error:
        raise _image_error("read", error) from error


def decode(data: bytes, short_side: int) -> npt.NDArray[np.uint8]:
    """Decode an encoded image to RGB and resize its short side to ``short_side`` pixels.

    Returns uint8 ``[height, width, channels=3]``, equal to what
    ``torchvision.transforms.functional.resize(image.convert("RGB"), short_side)`` gives for a
    PIL image: bilinear with antialias, long side ``int(short_side * long / short)``. Before:

    - EXIF orientation is applied (unreadable EXIF counts as upright);
    - an animation or several pages give the first;
    - transparency is dropped, not blended: hidden pixels show the colour stored for them;
    - 16-bit and 32-bit grey is scaled so that 65,535 becomes 255 (or the image's largest value
      if above that); colour of 16 bits keeps the upper 8, as Pillow reads it;
    - float grey says nowhere what is white: the smallest of 1, 255 and 65,535 that no pixel
      exceeds, else the largest finite value; NaN and negative values are black;
    - LAB goes to sRGB; other colour profiles are ignored, CMYK is converted without one.

    Raises :class:`ImageError` with stage ``decode`` for anything else: truncated, empty, in no
    known format, or above :data:`MAX_PIXELS` (told from the header, before pixels are decoded).
    """
    try:
        if not data:
            raise ValueError("file is empty")
        with _quiet, Image.open(io.BytesIO(data), formats=_formats()) as image:
            size = _resized(image.size, short_side)
            image.load()
            rgb = _rgb(_upright(image))
            if rgb.width > rgb.height:
                size = size[::-1]
            return np.array(rgb.resize(size, Image.Resampling.BILINEAR), dtype=np.uint8)
    except UnidentifiedImageError as error:
        # Pillow's own text names the address of a buffer.
        text = f"must begin like one of {', '.join(_FORMATS)}; damaged, or something else"
        raise ImageError("decode", type(error).__name__, text) from error
    except Exception as error:
        raise _image_error("decode", error) from error


def _image_error(stage: str, error: Exception) -> ImageError:
    text = " ".join(str(error).split()) or "no further detail"
    return ImageError(stage, type(error).__name__, text)


def _formats() -> list[str]:
    """The formats of ``_FORMATS`` this Pillow knows: naming another would be a KeyError."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


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


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # broken metadata, of whatever kind, does not make a broken picture
        return image
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        return _scaled(image, _FLOAT_WHITES)
    if image.mode.startswith("I"):  # I, I;16, I;16B: Pillow itself would clip at 255
        return _scaled(image, _INTEGER_WHITES)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # None only where it works in place
        return converted
    return image.convert("RGB")


def _scaled(image: Image.Image, whites: tuple[int, ...]) -> Image.Image:
    """Grey of many levels to 8 bits: ``[0, white]`` onto ``[0, 255]``, the rest clipped."""
    values = np.array(image, dtype=np.float32)
    top = float(np.max(values, initial=0, where=np.isfinite(values)))
    white = next((w for w in whites if top <= w), top)
    values *= 255 / white
    np.nan_to_num(values, copy=False, nan=0, posinf=255, neginf=0)
    grey = np.rint(np.clip(values, 0, 255, out=values)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


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

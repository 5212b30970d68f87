"""The demo's images: three small datasets of painted pictures, in class folders.

They differ as the paper's target datasets do (section 3, table 2), in classes and images a class,
and in how much of them the demo's network has learnt (section 6.2): all ``objects``, some
``scenes``, no ``patterns``. Some files are valid but odd, and a few are broken.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from demo import patterns, scenes, things
from demo.canvas import Painter, photograph

PAINTERS: Final[Mapping[str, Mapping[str, Painter]]] = {
    "objects": things.PAINTERS,
    "scenes": scenes.PAINTERS,
    "patterns": patterns.PAINTERS,
}
IMAGES: Final = {"objects": 20, "scenes": 28, "patterns": 36}
"""Images of each class of a dataset."""

FEW: Final = 3, 5
"""Classes of a dataset, and images of each, in a corpus for networks that take long."""

MARKER: Final = "corpus.json"
"""Written last, beside the datasets: what a complete corpus was made of, and its files."""

_ODD: Final = {
    ("objects", "apple", 1): "palette.png",
    ("objects", "7 o'clock", 2): "16-bit.png",
    ("scenes", "été", 2): "rotated.jpg",
    ("scenes", "sea", 3): "grey.jpg",
    ("patterns", "polka dots", 4): "animated.gif",
    ("patterns", "tartan", 2): "cmyk.jpg",
}
_BROKEN: Final = {
    ("objects", "butterfly"): "empty.jpg",
    ("scenes", "night city"): "text.jpg",
    ("patterns", "bricks"): "truncated.jpg",
}
_ORIENTATION_TAG: Final = 0x0112


def write_corpus(folder: Path, seed: int = 0, few: bool = False) -> None:
    """Write the corpus as ``folder/<dataset>/<class>/<file>``; nothing where it is complete.

    The same ``seed`` gives the same bytes, however many images there are (and the same Pillow).
    Where the folder holds a corpus of another seed, size or version, its files are removed.
    """
    files, marker = list(_files(few)), folder / MARKER
    paths = ["/".join(file) for file in files]
    wanted = {"seed": seed, "painters": _version(), "files": paths}
    if marker.exists() and (found := json.loads(marker.read_text(encoding="utf-8"))) != wanted:
        for file in found["files"]:
            (folder / file).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other files are in it, or it is gone
                (folder / file).parent.rmdir()
        marker.unlink()
    if marker.exists() and all((folder / path).exists() for path in paths):
        return
    for dataset, name, file in files:
        path = folder / dataset / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_content(dataset, name, file, seed))
    marker.write_text(json.dumps(wanted, indent=1), encoding="utf-8")


def _version() -> str:
    """Changes when anything in this package does."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _files(few: bool = False) -> Iterator[tuple[str, str, str]]:
    """Dataset, class and name of every file."""
    for dataset, painters in PAINTERS.items():
        classes, images = FEW if few else (len(painters), IMAGES[dataset])
        for name in list(painters)[:classes]:
            for index in range(images):
                plain = "plain.png" if index % 4 == 3 else "plain.jpg"
                yield dataset, name, f"{index:02d}-{_ODD.get((dataset, name, index), plain)}"
            if (dataset, name) in _BROKEN:
                yield dataset, name, f"{images:02d}-{_BROKEN[dataset, name]}"


def _content(dataset: str, name: str, file: str, seed: int) -> bytes:
    index, style = file.split("-", maxsplit=1)
    rng = np.random.default_rng([seed, zlib.crc32(f"{dataset}/{name}".encode()), int(index)])
    long, short = int(rng.integers(270, 321)), int(rng.integers(210, 256))
    size = (long, short) if rng.random() < 0.65 else (short, long)
    return _encoded(photograph(rng, PAINTERS[dataset][name](rng, size)), style)


def _encoded(image: Image.Image, style: str) -> bytes:
    match style:
        case "empty.jpg":
            return b""
        case "text.jpg":
            return b"Notes on this picture, saved under the wrong name.\n"
        case "truncated.jpg":
            whole = _saved(image, "JPEG")
            return whole[: len(whole) // 3]
        case "palette.png":
            return _saved(image.quantize(64), "PNG")
        case "16-bit.png":
            return _saved(Image.fromarray(np.asarray(image.convert("L")) * np.uint16(257)), "PNG")
        case "grey.jpg":
            return _saved(image.convert("L"), "JPEG")
        case "cmyk.jpg":
            return _saved(image.convert("CMYK"), "JPEG")
        case "rotated.jpg":
            exif = Image.Exif()
            exif[_ORIENTATION_TAG] = 6  # stored a quarter turn to the left
            return _saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
        case "animated.gif":
            later = [image.rotate(turn) for turn in (60, 120)]
            return _saved(image, "GIF", save_all=True, append_images=later, duration=300)
        case _:
            return _saved(image, "PNG" if style.endswith(".png") else "JPEG")


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if form == "JPEG":
        options["quality"] = 90
    image.save(buffer, form, **options)
    return buffer.getvalue()

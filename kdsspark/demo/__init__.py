"""The demo corpus: three small datasets of generated pictures, in class folders.

They differ as the paper's target datasets do (section 3, table 2): ``objects`` has many classes
of few images, ``textures`` few classes of many, ``scenes`` lies between. Some files are valid
but odd (grey, CMYK, palette, 16 bits, rotated by EXIF, animated), and a few are broken.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from kdsspark.demo import objects, scenes, textures
from kdsspark.demo.canvas import OVERSAMPLING, Array, Size, photograph
from kdsspark.errors import KdssparkError

CORPUS: Final = {
    # dataset: classes (the first so many painters), images per class. As many as ten-crop VGG16
    # embeds in about two minutes on two cores; raise them where there is more to compute with.
    "objects": (5, 3),
    "scenes": (4, 4),
    "textures": (3, 5),
}

MARKER: Final = "corpus.json"
"""Written last, beside the datasets: what a complete corpus was made of."""

_Painter = Callable[[np.random.Generator, Size], Array]
_PAINTERS: Final[Mapping[str, Mapping[str, _Painter]]] = {
    "objects": objects.PAINTERS,
    "scenes": scenes.PAINTERS,
    "textures": textures.PAINTERS,
}
_ODD: Final = {
    ("objects", "apple", 1): "palette.png",
    ("objects", "cup & saucer", 2): "16-bit.png",
    ("scenes", "été", 3): "grey.jpg",
    ("scenes", "sea", 2): "rotated.jpg",
    ("textures", "polka dots", 4): "animated.gif",
    ("textures", "tartan", 2): "cmyk.jpg",
}
_BROKEN: Final = {
    ("objects", "balloon"): "empty.jpg",
    ("scenes", "night city"): "text.jpg",
    ("textures", "bricks"): "truncated.jpg",
}
_ORIENTATION_TAG: Final = 0x0112


def write_corpus(folder: Path, seed: int = 0) -> None:
    """Write the corpus as ``folder/<dataset>/<class>/<file>``; nothing where it is complete.

    The same ``seed`` gives the same bytes, whatever the counts of other classes (and the same
    Pillow). Raises :class:`KdssparkError` if ``folder`` holds a corpus of another seed or size.
    """
    files = list(_files())
    wanted = {"seed": seed, "files": ["/".join(file) for file in files]}
    marker = folder / MARKER
    if marker.exists():
        if json.loads(marker.read_text(encoding="utf-8")) != wanted:
            raise KdssparkError(f"{folder} must be empty or hold this corpus, got another one")
        if all(folder.joinpath(*file).exists() for file in files):
            return
    for dataset, name, file in files:
        path = folder / dataset / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_content(dataset, name, file, seed))
    marker.write_text(json.dumps(wanted, indent=1), encoding="utf-8")


def _files() -> Iterator[tuple[str, str, str]]:
    """Dataset, class and name of every file."""
    for dataset, (classes, images) in CORPUS.items():
        for name in list(_PAINTERS[dataset])[:classes]:
            for index in range(images):
                plain = "plain.png" if index % 4 == 3 else "plain.jpg"
                yield dataset, name, f"{index:02d}-{_ODD.get((dataset, name, index), plain)}"
            if (dataset, name) in _BROKEN:
                yield dataset, name, f"{images:02d}-{_BROKEN[dataset, name]}"


def _content(dataset: str, name: str, file: str, seed: int) -> bytes:
    index, style = file.split("-", maxsplit=1)
    rng = np.random.default_rng([seed, zlib.crc32(f"{dataset}/{name}".encode()), int(index)])
    long, short = int(rng.integers(280, 381)), int(rng.integers(200, 271))
    width, height = (long, short) if rng.random() < 0.65 else (short, long)
    canvas = width * OVERSAMPLING, height * OVERSAMPLING
    return _encoded(photograph(rng, _PAINTERS[dataset][name](rng, canvas)), style)


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

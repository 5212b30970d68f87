from __future__ import annotations

import colorsys
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from kdsspark import pixels
from kdsspark.errors import ImageError
from kdsspark.images.properties import Properties, looks

RANDOM = np.random.default_rng(0).integers(0, 256, (256, 300, 3), np.uint8)


def encoded(picture: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", **options)
    return buffer.getvalue()


def of(data: bytes) -> dict[str, float]:
    return dict(zip(pixels.NAMES, Properties()(data).tolist(), strict=True))


def test_against_other_libraries() -> None:
    picture = cv2.GaussianBlur(RANDOM, (3, 3), 0.8)
    found = of(encoded(picture))
    levels = picture.astype(np.float64) / 255
    for channel, name in enumerate(("red", "green", "blue")):
        assert found[f"mean_{name}"] == pytest.approx(levels[..., channel].mean())
        assert found[f"deviation_{name}"] == pytest.approx(levels[..., channel].std())
    grey = cv2.cvtColor(levels.astype(np.float32), cv2.COLOR_RGB2GRAY).astype(np.float64)
    assert found["luminance"] == pytest.approx(grey.mean(), rel=1e-5)
    assert found["contrast"] == pytest.approx(grey.std(), rel=1e-5)
    inside = np.s_[1:-1, 1:-1]
    laplacian = cv2.Laplacian(grey, cv2.CV_64F, ksize=1)[inside]
    assert found["sharpness"] == pytest.approx(laplacian.var(), rel=1e-4)
    gradient = np.stack(np.gradient(grey))[:, 1:-1, 1:-1] * 2
    edges = (np.sqrt((gradient**2).sum(0)) > 0.1).mean()
    assert 0.1 < edges < 0.9
    assert found["edge_density"] == pytest.approx(edges, abs=1e-3)
    saturation = [colorsys.rgb_to_hsv(*pixel)[1] for pixel in levels.reshape(-1, 3)]
    assert found["saturation"] == pytest.approx(np.mean(saturation))


def test_the_size_is_that_of_the_upright_image_and_of_the_file() -> None:
    wide = encoded(RANDOM[:100, :250])
    assert of(wide) | {"aspect_ratio": 2.5, "pixels": 25_000, "bytes": len(wide)} == of(wide)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    turned = encoded(RANDOM[:100, :250], exif=exif)
    assert of(turned)["aspect_ratio"] == pytest.approx(0.4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 5), (3, 3)])
@pytest.mark.parametrize("level", [0, 255])
def test_flat_and_tiny_images(shape: tuple[int, int], level: int) -> None:
    found = dict(zip(pixels.NAMES, looks(np.full((*shape, 3), level, np.uint8)), strict=False))
    assert found["luminance"] == pytest.approx(level / 255)
    flat = ("contrast", "saturation", "sharpness", "edge_density", "deviation_red")
    assert [found[name] for name in flat] == pytest.approx([0] * len(flat))


def test_what_is_no_image_fails_as_elsewhere() -> None:
    with pytest.raises(ImageError, match="UnidentifiedImageError"):
        Properties()(b"no image")

"""Made-up photographs for the benchmarks: JPEG files that take about as long as real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 500, 375


def write_photograph(path: Path, rng: np.random.Generator) -> None:
    """Noise of several scales, which compresses about as photographs do."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for scale in (2, 8, 32, 128):
        size = (WIDTH // scale + 1, HEIGHT // scale + 1)
        noise = rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        smooth = Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        picture += np.asarray(smooth, np.float32) * scale**0.5
    picture *= 255 / picture.max()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.astype(np.uint8)).save(path, quality=90)


def write_photographs(folder: Path, number: int) -> list[Path]:
    """As many files in two class folders."""
    paths = [folder / "ab"[i % 2] / f"{i:04d}.jpg" for i in range(number)]
    for i, path in enumerate(paths):
        write_photograph(path, np.random.default_rng(i))
    return paths

"""A study of few images that may have several labels, for tests of more than one stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from kdsspark import config
from kdsspark.config import Config
from kdsspark.output.names import Pair

PAIR, IMAGES, CLASSES = Pair("pixels", "coco"), 40, ["a/b", "bright", "never alone", "Ω"]
SETTINGS: dict[str, Any] = {"bins": 12, "shuffles": 2, "seed": 3, "distances": ["auc"]}


def members() -> NDArray[np.bool_]:
    """[images, classes]; the third class is in images of the second only; 9 images have none."""
    rng = np.random.default_rng(0)
    found = rng.random((IMAGES, len(CLASSES))) < 0.4
    found[:, 2] &= found[:, 1]
    found[:9] = False
    return found


def write_images(folder: Path) -> Path:
    """Images, and a manifest of them; returns its path. The class "bright" is brighter."""
    folder.mkdir()
    rng, rows = np.random.default_rng(1), []
    for number, member in enumerate(members()):
        pixels = rng.integers(0, 120, (20, 24 + number % 5, 3)) + 100 * member[1]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        names = [name for name, own in zip(CLASSES, member, strict=True) if own]
        rows.append({"path": f"{number}.png", "label": json.dumps(names[::-1])})
    pd.DataFrame(rows).to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


def study(output: Path, manifest: Path, **settings: Any) -> Config:
    """Its configuration; ``settings`` are those of ``measure``."""
    return config.parse(
        {
            "output": str(output),
            "networks": [{"name": "pixels", "architecture": "pixels"}],
            "datasets": [
                {"name": "coco", "path": str(manifest), "layout": "manifest", "labels": "several"}
            ],
            "measure": SETTINGS | settings,
            "embed": {"shard_images": 7},
        }
    )

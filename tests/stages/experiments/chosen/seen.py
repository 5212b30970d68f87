"""A study of images for the experiments that look at them, and torchvision's own network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision import models
from torchvision.transforms import functional

from kdsspark import config
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.tables import IMAGES
from tests.studies import run, write_images

RESIZE, CROP, CLASSES = 72, 64, 1000
LAYERS = {"conv1": "features.0", "fire9": "features.12", "classes": "classifier.1"}
NETWORK = {
    "name": "tiny",
    "architecture": "squeezenet1_1",
    "weights": "random",
    "crops": "center",
    "layers": LAYERS,
    "preprocessing": {"resize": RESIZE, "crop": CROP},
}
PAIR = Pair("tiny", "birds")
NAMES = ("invariance", "occlusion", "correspondence")
SIZES = {"a": 3, "b": 2, "c": 2}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make(folder: Path, stages: str = "index embed measure summarize", **experiments: Any) -> Study:
    """Seven images of three classes, in several shards."""
    write_images(folder / "birds", SIZES)
    raw = {
        "output": str(folder / "out"),
        "networks": [NETWORK],
        "datasets": [{"name": "birds", "path": str(folder / "birds")}],
        "embed": {"shard_images": 3, "batch_images": 2, "max_failures": 1.0},
        "experiments": experiments,
    }
    return run(config.parse(raw), stages)


def make_with_parts(folder: Path) -> Study:
    """The same with a part of two images, for all three experiments."""
    rows = ["image,part,x0,y0,x1,y1", "a/000.png,eye,10,12,20,22", "b/001.png,eye,12,12,22,22"]
    (folder / "parts.csv").write_text("\n".join(rows))
    return make(folder, parts={"birds": str(folder / "parts.csv")})


def with_settings(study: Study, **experiments: Any) -> Study:
    """The same with other settings of the experiments."""
    raw = study.config.model_dump(mode="json")
    raw["experiments"] |= experiments
    return Study(config.parse(raw))


def names_file(folder: Path, known: Mapping[int, str]) -> str:
    """A file of class names, some of them known."""
    path = folder / "names.txt"
    path.write_text("".join(f"{known.get(unit, f'unit {unit}')}\n" for unit in range(CLASSES)))
    return str(path)


def index(study: Study) -> pa.Table:
    """The images by id."""
    return parquet.read(study.output, IMAGES).sort_by("image_id")


def resized(path: str) -> NDArray[np.uint8]:
    image = functional.resize(Image.open(path).convert("RGB"), RESIZE)
    return np.array(image)


def crop(path: str) -> NDArray[np.uint8]:
    """The centre crop by torchvision."""
    return np.array(functional.center_crop(Image.fromarray(resized(path)), [CROP, CROP]))


def grey() -> tuple[int, ...]:
    return tuple(round(255 * value) for value in MEAN)


def plain(study: Study) -> Callable[[NDArray[np.uint8]], dict[str, NDArray[np.float32]]]:
    """torchvision's network: a crop -> every layer's values, and the probabilities."""
    model = models.squeezenet1_1()
    (weights,) = Path(study.output.path("_networks")).glob("*.safetensors")
    model.load_state_dict(load_file(weights))
    model.eval()
    return lambda pixels: _maps(model, pixels)


@torch.inference_mode()
def _maps(model: nn.Module, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    inputs = functional.normalize(functional.to_tensor(Image.fromarray(pixels)), MEAN, STD)[None]
    assert isinstance(model, models.SqueezeNet)
    first = model.features[1](model.features[0](inputs))
    last = model.features[:13](inputs)
    values = model.classifier[2](model.classifier[1](last))
    chances = values.mean((2, 3)).softmax(1)
    found = {"conv1": first, "fire9": last, "classes": values, "chances": chances}
    return {name: tensor[0].clone().numpy() for name, tensor in found.items()}

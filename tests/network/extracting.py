"""What the tests of the extractor share: made-up photographs, and extractors of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.config import Network, Preprocessing
from kdsspark.network.extractor import Extractor
from kdsspark.network.spec import NetworkSpec
from kdsspark.network.weights import prepare

SMALL = Preprocessing(resize=72, crop=64)
RESNET: dict[str, Any] = {
    "architecture": "resnet18",
    "layers": {"a": "layer2.0", "b": "layer4", "c": "fc"},
}
SQUEEZE: dict[str, Any] = {
    "architecture": "squeezenet1_1",
    "layers": {"first": "features.0", "fire9": "features.12", "last": "classifier.1"},
}

Image = NDArray[np.uint8]


def image(height: int, width: int, seed: int = 0) -> Image:
    """Smooth colours and a little noise, more like a photograph than noise alone."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.random((3, 6, 6)))
    smooth = F.resize(coarse, [height, width]).permute(1, 2, 0).numpy() * 230
    pixels: Image = (smooth + random.random((height, width, 3)) * 25).astype(np.uint8)
    return pixels


def load(folder: Path, /, device: str = "cpu", **keys: Any) -> Extractor:
    defaults = {"name": "n", "weights": "random", "preprocessing": SMALL}
    spec = prepare(Network(**{**defaults, **keys}), folder / "n.safetensors")
    return Extractor.load(spec, folder / "n.safetensors", device)


def spec_of(folder: Path, **keys: Any) -> NetworkSpec:
    return load(folder, **{**SQUEEZE, **keys}).spec


def ten_crops(pixels: Image, crop: int) -> Tensor:
    """[10, 3, crop, crop] as torchvision makes and normalises them."""
    tensor = F.convert_image_dtype(torch.tensor(pixels).permute(2, 0, 1))
    views = torch.stack(F.ten_crop(tensor, [crop, crop]))
    return F.normalize(views, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def close(found: NDArray[np.float32], expected: NDArray[Any], tolerance: float = 1e-4) -> None:
    assert found.dtype == np.float32
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)

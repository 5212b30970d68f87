"""Exemplars by a plain loop over torchvision: one image after the other, with forward hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn
from torchvision import models, transforms
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.network.receptive_fields import Field, Whole, box
from kdsspark.stages.index import image_id
from tests.studies import NETWORK

RESIZE, CROP = NETWORK["preprocessing"]["resize"], NETWORK["preprocessing"]["crop"]
READ_AT = {"conv1": "features.1", "fire4": "features.6"}  # of a convolution, its ReLU
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

Row = dict[str, Any]
Fields = Mapping[str, Field | Whole]


def squeezenet() -> nn.Module:
    """What ``weights: random`` is, with maps as the package has them in memory."""
    torch.manual_seed(0)
    return models.squeezenet1_1().eval().to(memory_format=torch.channels_last)


def exemplars(
    folder: Path, dataset: str, fields: Fields, crops: str = "center", top: int = 9
) -> list[Row]:
    """The rows of the table, of all images of a folder that can be read."""
    network, keep = squeezenet(), {}
    for name, path in READ_AT.items():
        network.get_submodule(path).register_forward_hook(
            lambda _, __, maps, name=name: keep.update({name: maps.clone()})
        )
    of_images = []
    for key, data, image in read(folder, dataset):
        with torch.inference_mode():
            network(batch(image, crops))
        of_images.append((key, data, image.size, {n: m.numpy() for n, m in keep.items()}))
    return [row for name in READ_AT for row in of_layer(name, of_images, fields[name], crops, top)]


def read(folder: Path, dataset: str) -> Iterator[tuple[str, bytes, Image.Image]]:
    """Id, bytes and resized image, by id."""
    paths = {image_id(dataset, str(p.relative_to(folder))): p for p in folder.rglob("*.png")}
    for name, path in sorted(paths.items()):
        try:
            image = Image.open(path).convert("RGB")
        except UnidentifiedImageError:
            continue
        yield name, path.read_bytes(), transforms.Resize(RESIZE)(image)


def batch(image: Image.Image, crops: str) -> Tensor:
    """The views of an image as the network takes them."""
    views = F.ten_crop(image, CROP) if crops == "ten" else [F.center_crop(image, CROP)]
    normal = [F.normalize(F.to_tensor(view), MEAN, STD) for view in views]
    return torch.stack(normal).contiguous(memory_format=torch.channels_last)


def of_layer(
    name: str,
    images: Sequence[tuple[str, bytes, tuple[int, int], dict[str, NDArray[np.float32]]]],
    field: Field | Whole,
    crops: str,
    top: int,
) -> Iterator[Row]:
    """Unit by unit, the best images; byte-identical ones once."""
    for unit in range(images[0][3][name].shape[1]):
        highest = [maps[name][:, unit].max() for _, _, _, maps in images]
        seen: set[bytes] = set()
        for i in np.argsort(-np.array(highest), kind="stable"):  # images are sorted by id
            key, data, size, maps = images[i]
            if data in seen or len(seen) == top:
                continue
            seen.add(data)
            view, y, x = map(int, np.argwhere(maps[name][:, unit] == highest[i])[0])
            x0, y0, x1, y1 = patch(box(field, y, x, CROP, CROP), view, crops, *size)
            yield {
                **{"layer": name, "unit": unit, "rank": len(seen), "image_id": key},
                **{"activation": float(highest[i]), "y": y, "x": x, "view": view},
                **{"x0": x0, "y0": y0, "x1": x1, "y1": y1},
                "n_active": sum(bool(value > 0) for value in highest),
                "n": len(images),
            }


def patch(
    inside: tuple[int, int, int, int], view: int, crops: str, width: int, height: int
) -> tuple[int, int, int, int]:
    """The box of a view in the image: cut a picture of coordinates as the image was cut."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    where = torch.stack([columns, rows])
    views = (
        F.ten_crop(where, [CROP, CROP]) if crops == "ten" else [F.center_crop(where, [CROP] * 2)]
    )
    x0, y0, x1, y1 = inside
    columns, rows = views[view][:, y0:y1, x0:x1]
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) + 1, int(rows.max()) + 1

"""Miniatures of datasets as they are distributed, and what a layout reads of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts import images
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import LISTING
from kdsspark.errors import KdssparkError


def jpeg(seed: int = 0, size: tuple[int, int] = (8, 6)) -> bytes:
    """A picture of noise that no other seed has."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def put(root: Path, *names: str, data: bytes = b"") -> None:
    """Files with the same content, by default a picture."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data or jpeg())


def text(root: Path, name: str, *lines: str, end: str = "\n") -> None:
    put(root, name, data=end.join([*lines, ""]).encode() or b"\n")


def mat(root: Path, name: str, **variables: object) -> None:
    """A MATLAB file; lists of names become cell arrays of one column."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    cells = {k: _cells(v) if isinstance(v, list) else v for k, v in variables.items()}
    savemat(root / name, cells)


def _cells(names: list[str]) -> np.ndarray:
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    return cells


def dataset(
    layout: str, path: Path | str, split: str | None = None, name: str = "set", **more: object
) -> ImageDataset:
    values = {"name": name, "path": str(path), "layout": layout, "split": split, **more}
    return ImageDataset.model_validate(values)


def rows(of: ImageDataset) -> list[dict[str, str]]:
    """Every image of a dataset, sorted by its path."""
    tables = list(images(of, LeftOut()))
    assert all(table.schema == LISTING for table in tables)
    return sorted((row for t in tables for row in t.to_pylist()), key=lambda row: row["path"])


def labels(of: ImageDataset) -> dict[str, str]:
    """Path below the root -> class name; every uri is that of the image's own file."""
    found = rows(of)
    assert len({row["path"] for row in found}) == len(found)
    for row in found:
        assert row["uri"].endswith(f"/{row['path']}")
    return {row["path"]: row["class_name"] for row in found}


def refusal(of: ImageDataset, error: type[KdssparkError]) -> str:
    """The one line that reading a dataset ends with."""
    with pytest.raises(error) as caught:
        list(images(of, LeftOut()))
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


def classes(paths: Iterable[str]) -> dict[str, str]:
    """``images/a b/1.jpg`` -> class ``a b``, for images in folders of their class."""
    return {path: path.split("/")[-2] for path in paths}

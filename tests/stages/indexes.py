"""Datasets of empty files, and what the index has of them."""

from pathlib import Path

import pytest

from kdsspark.config import Dataset, ImageDataset
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages.index import write_index
from kdsspark.tables import IMAGES


def touch(root: Path, *names: str) -> ImageDataset:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return ImageDataset(name="birds", path=str(root))


def indexed(output: Output, dataset: Dataset) -> list[dict[str, object]]:
    write_index(output, dataset)
    table = parquet.read(output, IMAGES, dataset.name, columns=IMAGES.schema.names)
    return sorted(table.to_pylist(), key=lambda row: str(row["uri"]))


def ids(output: Output, dataset: Dataset) -> list[object]:
    return [row["image_id"] for row in indexed(output, dataset)]


def refusal(output: Output, dataset: Dataset) -> str:
    with pytest.raises(DatasetError) as caught:
        write_index(output, dataset)
    assert str(caught.value).startswith(f"dataset {dataset.name}: ")
    return str(caught.value)

"""What a dataset lists, or the line that refuses it; names that are hard to carry."""

from pathlib import Path

import pytest

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts import images
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import LISTING
from kdsspark.errors import DatasetError

AWKWARD = [
    "two words",
    "it's \"quoted\"",
    "a#1",
    "100%",
    "%20",
    "x=y",
    "a::b",
    "<script>",
    "?q",
    "Ω 猫 é",
    "[a-z]*",
    "back\\slash",
]  # fmt: skip


def rows(dataset: ImageDataset) -> list[tuple[str, str, str]]:
    """(path below the root, uri, class name) of every image, sorted."""
    tables = list(images(dataset, LeftOut()))
    assert all(table.schema == LISTING for table in tables)
    columns = ("path", "uri", "class_name")
    return sorted(tuple(row[c] for c in columns) for table in tables for row in table.to_pylist())


def pairs(dataset: ImageDataset) -> list[tuple[str, str]]:
    return [(path, label) for path, _, label in rows(dataset)]


def left_out(dataset: ImageDataset) -> list[tuple[str | None, str, str, int]]:
    """(class that is left out whole, ending, reason, files) of all that is not listed."""
    found = LeftOut()
    tables = list(images(dataset, found))
    classes = {name for table in tables for name in table["class_name"].to_pylist()}
    return [tuple(group) for group in found.groups(classes)]


def refusal(dataset: ImageDataset) -> str:
    with pytest.raises(DatasetError) as caught:
        list(images(dataset, LeftOut()))
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert line.startswith(f"dataset {dataset.name}: ")
    return line.removeprefix(f"dataset {dataset.name}: ")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def versions(dataset: ImageDataset) -> list[str]:
    return [v for table in images(dataset, LeftOut()) for v in table["version"].to_pylist()]

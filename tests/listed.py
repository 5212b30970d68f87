"""What a dataset lists, or the line that refuses it; names that are hard to carry."""

from pathlib import Path

import pytest

from kdsspark.config import Dataset
from kdsspark.datasets.layouts import images
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


def rows(dataset: Dataset) -> list[tuple[str, str, str]]:
    """(path below the root, uri, class name) of every image, sorted."""
    tables = list(images(dataset))
    assert all(table.schema == LISTING for table in tables)
    columns = ("path", "uri", "class_name")
    return sorted(tuple(row[c] for c in columns) for table in tables for row in table.to_pylist())


def pairs(dataset: Dataset) -> list[tuple[str, str]]:
    return [(path, label) for path, _, label in rows(dataset)]


def refusal(dataset: Dataset) -> str:
    with pytest.raises(DatasetError) as caught:
        list(images(dataset))
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert line.startswith(f"dataset {dataset.name}: ")
    return line.removeprefix(f"dataset {dataset.name}: ")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def versions(dataset: Dataset) -> list[str]:
    return [v for table in images(dataset) for v in table["version"].to_pylist()]

"""What the index stage says of a dataset's size, and what the paper says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from kdsspark.config import EmbeddingsDataset
from kdsspark.config.types import LayoutName
from kdsspark.datasets.layouts import LAYOUTS, expected
from kdsspark.output.store import Store
from kdsspark.stages.index import Indexed, write_index
from tests.archives import dataset, put, text

DOCUMENT = Path(__file__).parents[3] / "docs" / "datasets.md"


def test_every_layout_of_the_configuration_has_a_reader() -> None:
    assert set(get_args(LayoutName)) == set(LAYOUTS)


def test_the_sum_of_the_published_sizes_is_the_papers() -> None:
    published = [layout.published for layout in LAYOUTS.values() if layout.published]
    assert len(published) == 11
    assert sum(p.images for p in published) == 175_687
    assert sum(p.classes for p in published) == 2_038


@pytest.mark.parametrize(
    ("images", "classes", "line"),
    [
        (11_788, 200, "dataset birds: 11788 images in 200 classes, as published"),
        (11_780, 200, "dataset birds: 11780 images in 200 classes; published: 11788 in 200"),
        (11_788, 199, "dataset birds: 11788 images in 199 classes; published: 11788 in 200"),
    ],
)
def test_a_difference_is_shown(images: int, classes: int, line: str) -> None:
    found = LAYOUTS["cub200"].published
    assert str(Indexed("birds", images, classes, found)) == line


def test_the_note_says_where_the_difference_comes_from() -> None:
    line = str(Indexed("objects", 8677, 101, LAYOUTS["caltech101"].published))
    assert line == (
        "dataset objects: 8677 images in 101 classes; published: 9146 in 101, "
        "BACKGROUND_Google counted"
    )


@pytest.mark.parametrize(
    ("layout", "split", "size"),
    [
        ("food101", "test", 25_250),
        ("food101", None, None),
        ("cub200", "test", None),
        ("cub200", None, 11_788),
        ("folder", None, None),
        ("webdataset", "train", None),
    ],
)
def test_only_what_the_paper_used_is_compared(
    layout: str, split: str | None, size: int | None
) -> None:
    found = expected(dataset(layout, "/data", split))
    assert (found.images if found else None) == size


def test_ready_made_embeddings_have_no_published_size() -> None:
    assert expected(EmbeddingsDataset(name="mine", embeddings="/data")) is None


def test_the_index_of_a_miniature_differs(tmp_path: Path) -> None:
    names = ["Images/kitchen/1.jpg", "Images/bar/2.jpg"]
    put(tmp_path / "data", *names)
    text(tmp_path / "data", "TrainImages.txt", "kitchen/1.jpg")
    text(tmp_path / "data", "TestImages.txt", "bar/2.jpg")
    indexed = write_index(Store.at(str(tmp_path / "out")), dataset("mit67", tmp_path / "data"))
    assert str(indexed) == "dataset set: 2 images in 2 classes; published: 6700 in 67"


def _documented() -> dict[str, list[str]]:
    """Layout -> the other cells of its row in the documentation's tables."""
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in lines}


def test_every_layout_is_documented() -> None:
    assert _documented().keys() == LAYOUTS.keys()


@pytest.mark.parametrize("name", [name for name in LAYOUTS if LAYOUTS[name].published])
def test_sizes_and_splits_are_documented_as_declared(name: str) -> None:
    published = LAYOUTS[name].published
    assert published is not None
    _, splits, images, classes, *_ = _documented()[name]
    assert images.split()[0] == f"{published.images:,}"  # a number of a footnote may follow
    assert classes == f"{published.classes:,}"
    assert re.findall(r"`(\w+)`", splits) == list(LAYOUTS[name].splits or ())

"""Class folders against torchvision's ImageFolder; tests/datasets/test_listing.py has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts import folder
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import LISTING, Root
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.images.decoding import image_suffixes
from tests.listed import AWKWARD, touch
from tests.objects import Objects

DATASET = ImageDataset(name="birds", path="unused")


def listed(root: Root, left_out: LeftOut) -> list[dict[str, str]]:
    tables = list(folder.read(DATASET, root, left_out))
    assert {table.schema for table in tables} <= {LISTING}
    return [row for table in tables for row in table.to_pylist()]


TREES = {
    "flat": ["b/1.jpg", "a/2.PNG", "a/1.jpeg"],
    "deep": ["a/x/y/1.jpg", "a/x/2.jpg", "b/a/3.png", "b/4.webp"],
    "with other files": ["a/1.jpg", "a/notes.txt", "b/2.tif", "b/Thumbs.db", "README.md", "9.jpg"],
    "awkward names": [f"{name}/{name}.jpg" for name in AWKWARD],
}


@pytest.mark.parametrize("tree", TREES)
def test_images_and_classes_are_those_of_imagefolder(tree: str, tmp_path: Path) -> None:
    touch(tmp_path, *TREES[tree])
    plain = ImageFolder(str(tmp_path), is_valid_file=lambda p: p.lower().endswith(image_suffixes()))
    expected = sorted((path, plain.classes[label]) for path, label in plain.samples)
    found = listed(Root.at(str(tmp_path)), LeftOut())
    assert sorted((row["uri"], row["class_name"]) for row in found) == expected
    assert len(expected) == sum(
        n.lower().endswith(image_suffixes()) and "/" in n for n in TREES[tree]
    )
    assert [tmp_path / row["path"] for row in found] == [Path(row["uri"]) for row in found]


def test_classes_come_one_after_another_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.jpg", "a/1.jpg", "b/c/2.jpg", "a/b/2.jpg")
    found = [row["class_name"] for row in listed(Root.at(str(tmp_path)), LeftOut())]
    assert found == ["a", "a", "b", "b"]


def test_what_is_left_out_is_counted_where_it_lies(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/x.txt", "b/x.txt", "b/y.txt", "9.jpg")
    (tmp_path / "c").mkdir()
    (tmp_path / "d").symlink_to(tmp_path / "unmounted")
    left_out = LeftOut()
    assert len(listed(Root.at(str(tmp_path)), left_out)) == 1
    groups = {tuple(group) for group in left_out.groups({"a"})}
    assert groups == {
        (None, ".jpg", "in no class folder", 1),
        (None, ".txt", "not read", 1),
        ("b", ".txt", "not read", 2),
        ("c", "", "empty folder", 0),
        ("d", "", "link that leads nowhere", 1),
    }


@pytest.mark.parametrize("name", ["absent", "file.jpg"])
def test_a_root_that_is_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "file.jpg")
    with pytest.raises(ConfigError) as caught:
        listed(Root.at(f"{tmp_path}/{name}"), LeftOut())
    expected = "datasets.birds.path: must be a folder of class folders, got "
    assert str(caught.value) == f"{expected}{tmp_path}/{name}"


def test_a_key_without_a_class_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Objects, "objects", {"b/a/1.png": b"x", "b//2.png": b"x"})
    with pytest.raises(DatasetError, match="dataset birds: keys must have a class folder"):
        listed(Root(Objects(), "b", "objects://b"), LeftOut())

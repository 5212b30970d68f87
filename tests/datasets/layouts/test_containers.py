"""Which files of many images are read, and which of them belong to a split."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts.containers import Container, containers
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import Root
from kdsspark.errors import ConfigError
from tests.listed import touch

SUFFIXES = (".tar", ".taz")


def found(root: Path | str, split: str | None = None, left_out: LeftOut | None = None) -> list[str]:
    return [c.below for c in chosen(root, split, left_out or LeftOut())]


def chosen(root: Path | str, split: str | None, left_out: LeftOut) -> list[Container]:
    dataset = ImageDataset(name="set", path=str(root), layout="webdataset", split=split)
    return containers(dataset, Root.at(str(root)), SUFFIXES, left_out)


def refusal(root: Path | str, split: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        found(root, split)
    return str(caught.value)


def test_files_at_any_depth_in_order_whatever_the_case_of_their_ending(tmp_path: Path) -> None:
    touch(tmp_path, "b.tar", "a/2.TAR", "a/1.taz", "a/x.txt", ".hidden.tar", "tar")
    left_out = LeftOut()
    assert found(tmp_path, None, left_out) == ["a/1.taz", "a/2.TAR", "b.tar"]
    assert sum(left_out.counts.values()) == 3


def test_a_container_has_its_place_and_its_state(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.tar")
    state = (tmp_path / "sub/a.tar").stat()
    version = f"{state.st_size}-{state.st_mtime_ns}"
    path = str(tmp_path / "sub/a.tar")
    assert chosen(tmp_path, None, LeftOut()) == [Container(path, "sub/a.tar", path, version)]
    assert chosen(path, None, LeftOut()) == [Container(path, "a.tar", path, version)]


def test_other_file_systems_have_urls(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").pipe_file(f"{url}/x/a.tar", b"x")
    (one,) = chosen(url, None, LeftOut())
    assert (one.below, one.uri) == ("x/a.tar", f"{url}/x/a.tar")
    (alone,) = chosen(f"{url}/x/a.tar", None, LeftOut())
    assert (alone.below, alone.uri) == ("a.tar", one.uri)


NAMES = [
    "train-00000-of-00002.tar",
    "imagenet_Train_1.tar",
    "train/0.tar",
    "training.tar",
    "val0.tar",
    "validation/1.tar",
    "retrain.tar",
    "x.tar",
]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", ["imagenet_Train_1.tar", "train-00000-of-00002.tar", "train/0.tar"]),
        ("TRAIN", ["imagenet_Train_1.tar", "train-00000-of-00002.tar", "train/0.tar"]),
        ("training", ["training.tar"]),
        ("val", ["val0.tar"]),
        ("validation", ["validation/1.tar"]),
        ("x", ["x.tar"]),
        ("0", ["train-00000-of-00002.tar", "train/0.tar"]),
        (".*", None),  # a word, not a pattern
        (None, sorted(NAMES)),
    ],
)
def test_a_split_is_a_word_of_the_path(
    tmp_path: Path, split: str | None, expected: list[str] | None
) -> None:
    touch(tmp_path, *NAMES)
    if expected is None:
        assert "datasets.set.split: must be a word of file names" in refusal(tmp_path, split)
        return
    left_out = LeftOut()
    assert found(tmp_path, split, left_out) == expected
    others = len(NAMES) - len(expected)
    assert sum(left_out.counts.values()) == others
    assert set(left_out.counts) == ({(".tar", "not in this split")} if others else set())


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (NAMES, "train, training, validation, val"),
        (["a.tar", "b.tar"], "no splits"),
        (["dev.tar", "a-test-1.tar"], "dev, test"),
    ],
)
def test_another_split_is_refused_with_those_that_there_are(
    tmp_path: Path, names: list[str], splits: str
) -> None:
    touch(tmp_path, *names)
    assert refusal(tmp_path, "nosuch") == (
        f"datasets.set.split: must be a word of file names, which have {splits}, got 'nosuch'"
    )


@pytest.mark.parametrize(
    ("names", "root", "words"),
    [
        ([], "", ""),
        ([], "/absent", ""),
        (["a.txt"], "/a.txt", ""),
        (["a.tar.gz", "b.tar.gz"], "", " with 2 .tar.gz (compressed)"),
        (["a.txt"], "", " with 1 .txt"),
    ],
)
def test_no_file_is_refused_with_what_lies_there(
    tmp_path: Path, names: list[str], root: str, words: str
) -> None:
    touch(tmp_path, *names)
    expected = "datasets.set.path: must be a .tar file or a folder of some, got "
    assert refusal(f"{tmp_path}{root}") == f"{expected}{tmp_path}{root}{words}"

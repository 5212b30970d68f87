"""What the counts of left-out files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kdsspark.datasets.left_out import (
    HIDDEN,
    NOT_READ,
    Group,
    LeftOut,
    ending,
    is_photograph,
    summary,
    warnings,
)
from kdsspark.images.decoding import EXTRA_SUFFIXES, IMAGE_SUFFIXES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/1.jpg", ".jpg"),
        ("a/1.JPG", ".jpg"),
        ("a.b/1", ""),
        ("1.seg.png", ".png"),
        ("1.tar.gz", ".tar.gz"),
        ("1.TAR.ZST", ".tar.zst"),
        ("1.csv.gz", ".gz"),
        ("archive.tgz", ".tgz"),
        ("1.mp4", ".mp4"),
        ("1.jpg_large", ".jpg_large"),
        ("1.0001", ""),  # a number, of which each file may have its own
        ("1.3f2a9c81b7d04e5f", ""),  # a hash
        ("1.", ""),
        ("1.ファイル", ""),
        (".hidden", ""),
        ("", ""),
    ],
)
def test_an_ending_is_the_last_part_of_the_name(name: str, expected: str) -> None:
    assert ending(name) == expected


def test_photographs_that_nothing_here_reads_are_known() -> None:
    for suffix in (*EXTRA_SUFFIXES, ".cr2", ".NEF", ".dng", ".jxl"):
        assert is_photograph(f"a/1{suffix}")
    for suffix in (*IMAGE_SUFFIXES, ".txt", ".tar.gz", ""):
        assert not is_photograph(f"a/1{suffix}")


def test_the_endings_of_images_are_documented() -> None:
    document = Path(__file__).parents[2] / "docs" / "datasets.md"
    (paragraph,) = re.findall(r"^Images are files with.*?\n\n", document.read_text(), re.M | re.S)
    assert re.findall(r"`(\.\w+)`", paragraph) == [*IMAGE_SUFFIXES, *EXTRA_SUFFIXES]


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ([], ""),
        ([Group(None, ".txt", NOT_READ, 1)], "1 .txt"),
        ([Group(None, "", NOT_READ, 2)], "2 without an ending"),
        ([Group(None, "", "in no class folder", 2)], "2 without an ending (in no class folder)"),
        ([Group("a", "", "empty folder", 0)], ""),
        (
            [
                Group(None, "", HIDDEN, 2),
                Group(None, ".heic", "no decoder: install kdsspark[heif]", 1),
                Group(None, ".txt", NOT_READ, 1),
                Group("emu", ".heic", "no decoder: install kdsspark[heif]", 2),
            ],
            "3 .heic (no decoder: install kdsspark[heif]), 2 hidden, 1 .txt",
        ),
        (
            [Group(None, f".x{n:02d}", NOT_READ, 100 - n) for n in range(15)],
            ", ".join(f"{100 - n} .x{n:02d}" for n in range(12)) + ", 261 with other endings",
        ),
    ],
)
def test_the_summary_names_the_largest_groups(groups: list[Group], text: str) -> None:
    assert summary(groups) == text


@pytest.mark.parametrize(
    ("groups", "lines"),
    [
        ([], []),
        ([Group(None, ".heic", "no decoder", 9)], []),
        (
            [Group("a b", "", "empty folder", 0)],
            ["1 class is left out whole: 'a b': empty folder"],
        ),
        (
            [
                Group("emu", ".heic", "no decoder", 2),
                Group("emu", "", HIDDEN, 1),
                Group("it's", ".txt", NOT_READ, 1),
            ],
            [
                "2 classes are left out whole: 'emu': 2 .heic (no decoder), 1 hidden; "
                '"it\'s": 1 .txt'
            ],
        ),
        (
            [Group(f"c{n:02d}", "", "empty folder", 0) for n in range(15)],
            [
                "15 classes are left out whole: "
                + "; ".join(f"'c{n:02d}': empty folder" for n in range(12))
                + "; 3 more"
            ],
        ),
    ],
)
def test_classes_that_are_left_out_whole_are_one_warning(
    groups: list[Group], lines: list[str]
) -> None:
    assert warnings(groups) == lines


def test_only_classes_without_an_image_are_counted_apart() -> None:
    found = LeftOut()
    found.add("1.txt")
    found.add("2.heic", class_name="a")
    found.add("3.heic", class_name="b")
    found.add("4.HEIC", class_name="b")
    found.of_class("c")
    reason = "no decoder: install kdsspark[heif]"
    assert found.groups({"a", "x"}) == [
        Group(None, ".heic", reason, 1),
        Group(None, ".txt", NOT_READ, 1),
        Group("b", ".heic", reason, 2),
        Group("c", "", "empty folder", 0),
    ]
    assert [group.class_name for group in found.groups({"a", "b", "c"})] == [None, None]

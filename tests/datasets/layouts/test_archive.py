"""An unpacked archive: its images, its lists of text and MATLAB, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from kdsspark.datasets.layouts.archive import Archive
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import Root
from kdsspark.errors import DatasetError
from tests.archives import mat, text
from tests.listed import touch


def archive(root: Path, images: str = "") -> Archive:
    return Archive("set", Root.at(str(root)), images, LeftOut())


def refusal(root: Path, call: Callable[[Archive], object]) -> str:
    """What an error says of ``list`` after the dataset and the file."""
    with pytest.raises(DatasetError) as caught:
        call(archive(root, "images"))
    line = str(caught.value)
    assert "\n" not in line
    where = f"dataset set: {root}/list "
    assert line.startswith(where)
    return line.removeprefix(where)


# -- images --------------------------------------------------------------------------------------

FILES = ["images/a/1.jpg", "images/a/2.PNG", "images/b/c/3.jpg", "images/4.jpg", "images/a/x.txt"]


def test_versions_are_those_of_every_image_below_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, *FILES, "other/5.jpg", "6.jpg")
    found = archive(tmp_path, "images").versions
    assert sorted(found) == sorted(name for name in FILES if not name.endswith(".txt"))
    for name, version in found.items():
        state = (tmp_path / name).stat()
        assert version == f"{state.st_size}-{state.st_mtime_ns}"
    assert sorted(archive(tmp_path).versions) == sorted({*found, "other/5.jpg", "6.jpg"})


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ("images", {"images/a/1.jpg": "a", "images/a/2.PNG": "a"}),
        ("", {"images/4.jpg": "images"}),
    ],
)
def test_class_folders_are_right_below_that_of_the_images(
    tmp_path: Path, images: str, expected: dict[str, str]
) -> None:
    touch(tmp_path, *FILES)
    assert archive(tmp_path, images).class_folders() == expected


def test_what_has_no_label_and_is_no_list_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    text(tmp_path, "images/list.txt", "a 1")
    made = archive(tmp_path, "images")
    made.table("images/list.txt", "name")
    made.leave_out({"images/a/1.jpg": "a"}, "not listed")
    assert made.left_out.counts == {(".jpg", "not listed"): 2, (".png", "not listed"): 1} | {
        (".txt", "not read"): 1
    }


# -- text ----------------------------------------------------------------------------------------


def test_a_list_of_images_names_class_and_file(tmp_path: Path) -> None:
    text(tmp_path, "list", "# a comment", "a/1", "", "  b c/d/2  ")
    made = archive(tmp_path, "images")
    assert made.listed("list", ".jpg") == {"images/a/1.jpg": "a", "images/b c/d/2.jpg": "b c"}
    assert archive(tmp_path).listed("list") == {"a/1": "a", "b c/d/2": "b c"}


def test_a_table_has_the_first_columns(tmp_path: Path) -> None:
    text(tmp_path, "list", "1 a  x", "#", "2\tb", end="\r\n")
    assert archive(tmp_path).table("list", "number", "name") == [["1", "a"], ["2", "b"]]


@pytest.mark.parametrize(
    ("line", "call", "words"),
    [
        ("a", lambda a: a.listed("list"), "line 2 must be class/image, got 'a'"),
        ("/1", lambda a: a.listed("list"), "line 2 must be class/image, got '/1'"),
        ("a/", lambda a: a.listed("list"), "line 2 must be class/image, got 'a/'"),
        ("7", lambda a: a.table("list", "n", "name"), "line 2 must hold n name, got '7'"),
    ],
)
def test_a_wrong_line_is_named(
    tmp_path: Path, line: str, call: Callable[[Archive], object], words: str
) -> None:
    text(tmp_path, "list", "a/1 x", line)
    assert refusal(tmp_path, call) == words


TEXT = "must be a text file with lines of "
MATLAB = "must be a MATLAB file with the variable v"


@pytest.mark.parametrize(
    ("data", "call", "words"),
    [
        (None, lambda a: a.listed("list"), f"{TEXT}class/image, got no such file"),
        (None, lambda a: a.table("list", "n", "m"), f"{TEXT}n m, got no such file"),
        (b"\xff\xff", lambda a: a.table("list", "n"), f"{TEXT}n, got UnicodeDecodeError: "),
        (None, lambda a: a.mat("list", "v"), f"{MATLAB}, got no such file"),
        (b"no MATLAB", lambda a: a.mat("list", "v"), f"{MATLAB}, got "),
        (b"", lambda a: a.structs("list", "v", "x"), f"{MATLAB}, got "),
    ],
)
def test_a_file_that_is_no_list_is_named(
    tmp_path: Path, data: bytes | None, call: Callable[[Archive], object], words: str
) -> None:
    if data is not None:
        (tmp_path / "list").write_bytes(data)
    assert refusal(tmp_path, call).startswith(words)


# -- MATLAB --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (np.array([[3, 1, 2]]), [3, 1, 2]),
        (np.array([[3], [1]]), [3, 1]),
        (np.array([[7]]), [7]),
        (["a", "b c"], ["a", "b c"]),
    ],
)
def test_a_variable_is_a_flat_list(tmp_path: Path, variable: Any, expected: list[Any]) -> None:
    mat(tmp_path, "list", v=variable)
    assert archive(tmp_path).mat("list", "v") == expected


def structs(path: Path, n: int) -> None:
    rows = np.zeros((n, 1), dtype=[("id", object), ("name", object), ("more", object)])
    for row in range(n):
        rows[row, 0] = (row + 1, f"name {row}", "x")
    savemat(path, {"v": rows}, appendmat=False)


@pytest.mark.parametrize("n", [1, 3])
def test_structs_are_tuples_of_the_named_fields(tmp_path: Path, n: int) -> None:
    structs(tmp_path / "list", n)
    found = archive(tmp_path).structs("list", "v", "name", "id")
    assert found == [(f"name {row}", row + 1) for row in range(n)]


def test_what_a_matlab_file_lacks_is_named_with_what_it_has(tmp_path: Path) -> None:
    mat(tmp_path, "list", w=np.array([[1]]), x=np.array([[2]]))
    assert refusal(tmp_path, lambda a: a.mat("list", "v")) == f"{MATLAB}, got w, x"
    lacks = refusal(tmp_path, lambda a: a.structs("list", "w", "id"))
    assert lacks == "w must have the fields id, got none"
    structs(tmp_path / "list", 2)
    lacks = refusal(tmp_path, lambda a: a.structs("list", "v", "id", "height"))
    assert lacks == "v must have the fields id, height, got id, name, more"


def test_an_entry_must_be_there(tmp_path: Path) -> None:
    assert archive(tmp_path).entry({"a": 1}, "a", "list") == 1
    said = refusal(tmp_path, lambda a: a.entry({"a": 1}, 7, "list"))
    assert said == "must have an entry for 7, got none"

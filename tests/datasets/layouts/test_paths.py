"""Paths in manifests, as Spark, pandas, Windows and shells write them."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from kdsspark.datasets.layouts.paths import joined, understood
from kdsspark.datasets.listing import Root
from kdsspark.output.filesystems import locate

FILES = ["a b.jpg", "50%.jpg", "%20.jpg", "back\\slash.jpg", "sub/1.jpg", "home/1.jpg", "~1.jpg"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A folder here with ``FILES``, one of which is the home folder."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fs, path = locate(str(tmp_path))
    return Root(fs, path, str(tmp_path))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # As they are.
        ("sub/1.jpg", "{root}/sub/1.jpg"),
        ("./sub/../sub//1.jpg", "{root}/sub/1.jpg"),
        ("{root}/sub/1.jpg", "{root}/sub/1.jpg"),
        ("a b.jpg", "{root}/a b.jpg"),
        ("absent.jpg", "{root}/absent.jpg"),
        ("~1.jpg", "{root}/~1.jpg"),
        ("foo:/1.jpg", "{root}/foo:/1.jpg"),
        # URLs of other stores.
        ("s3://bucket/a b.jpg", "s3://bucket/a b.jpg"),
        ("https://host/a%20b.jpg?x#y", "https://host/a%20b.jpg?x#y"),
        ("local:///data/1.jpg", "local:///data/1.jpg"),
        # Spark, Hadoop, pathlib, browsers.
        ("file:{root}/sub/1.jpg", "{root}/sub/1.jpg"),
        ("file://{root}/sub/1.jpg", "{root}/sub/1.jpg"),
        ("FILE://localhost{root}/sub/1.jpg", "{root}/sub/1.jpg"),
        ("file://{root}/a%20b.jpg", "{root}/a b.jpg"),
        ("file:{root}/50%25.jpg", "{root}/50%.jpg"),
        # The name itself comes first.
        ("file:{root}/50%.jpg", "{root}/50%.jpg"),
        ("file:{root}/%20.jpg", "{root}/%20.jpg"),
        ("file:{root}/absent%20.jpg", "{root}/absent%20.jpg"),
        # No URL: a percent sign is one.
        ("a%20b.jpg", "{root}/a%20b.jpg"),
        # Shells.
        ("~/1.jpg", "{root}/home/1.jpg"),
        ("~/absent.jpg", "{root}/~/absent.jpg"),
        # Windows.
        ("sub\\1.jpg", "{root}/sub/1.jpg"),
        (".\\sub\\..\\sub\\1.jpg", "{root}/sub/1.jpg"),
        ("back\\slash.jpg", "{root}/back\\slash.jpg"),
        ("absent\\1.jpg", "{root}/absent\\1.jpg"),
        ("C:1.jpg", "{root}/C:1.jpg"),
    ],
)
def test_a_path_means_what_its_tool_meant(folder: Root, path: str, expected: str) -> None:
    found = understood(folder, path.format(root=folder.path))
    full = found if "://" in found else joined(folder, found)
    assert full == expected.format(root=folder.path)


REFUSED = [
    ("C:\\data\\1.jpg", "must be a path of this machine or a URL, got 'C:\\\\data\\\\1.jpg'"),
    ("c:/data/1.jpg", "must be a path of this machine or a URL, got 'c:/data/1.jpg'"),
    ("\\\\host\\share\\1.jpg", "must be a path of this machine or a URL, got "),
    ("file:///C:/data/1.jpg", "must be file:/// and an absolute path of this machine, got 'file:"),
    ("file:1.jpg", "must be file:/// and an absolute path of this machine, got 'file:1.jpg'"),
    ("file:", "must be file:/// and an absolute path of this machine, got 'file:'"),
    ("file://host/1.jpg", "must be file:///PATH without a host, got 'file://host/1.jpg'"),
    ("s3:/bucket/1.jpg", "must have two slashes after s3:, got 's3:/bucket/1.jpg'"),
    ("hdfs:/data/1.jpg", "must have two slashes after hdfs:, got 'hdfs:/data/1.jpg'"),
]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(("path", "words"), REFUSED)
def test_a_path_that_means_nothing_here_is_refused(
    folder: Root, path: str, words: str, store: bool
) -> None:
    if store:
        folder = Root(fsspec.filesystem("memory"), "/lists", "memory://lists")
    with pytest.raises(ValueError) as caught:
        understood(folder, path)
    assert str(caught.value).startswith(words)


def test_a_file_of_that_name_is_not_refused(folder: Root) -> None:
    for name in ("C:/1.jpg", "\\\\host\\1.jpg"):
        Path(folder.path, name).parent.mkdir(exist_ok=True)
        Path(folder.path, name).write_bytes(b"x")
        assert joined(folder, understood(folder, name)) == f"{folder.path}/{name}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("1.jpg", "/lists/1.jpg"),
        ("../x/./1.jpg", "/x/1.jpg"),
        ("a//1.jpg", "/lists/a//1.jpg"),  # another key than a/1.jpg
        ("a//../1.jpg", "/lists/a/1.jpg"),
        ("../../../1.jpg", "/1.jpg"),
        ("/elsewhere//1.jpg", "/elsewhere//1.jpg"),
        ("~/1.jpg", "/lists/~/1.jpg"),
        ("a\\1.jpg", "/lists/a\\1.jpg"),
        ("file:/data/1.jpg", "file:///data/1.jpg"),
        ("file:///data/1.jpg", "file:///data/1.jpg"),
    ],
)
def test_keys_of_object_stores_stay_as_they_are(path: str, expected: str) -> None:
    folder = Root(fsspec.filesystem("memory"), "/lists", "memory://lists")
    found = understood(folder, path)
    assert (found if "://" in found else joined(folder, found)) == expected

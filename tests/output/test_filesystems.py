"""File systems: where URLs lead, ranges of bytes, and the versions of files."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem
from pyarrow.fs import LocalFileSystem as ArrowsLocal

from kdsspark.output.filesystems import (
    file_version,
    http_url,
    is_local,
    local_version,
    locate,
    protocols,
    read_range,
    version_of,
)


@pytest.mark.parametrize("name", ["a::b", "a#b", "a?b", "a b%20", "a=b", "ä", "[a]*"])
@pytest.mark.parametrize("scheme", ["", "file://", "local://"])
def test_a_local_path_may_hold_any_character(scheme: str, name: str) -> None:
    fs, path = locate(f"{scheme}/data/{name}")
    assert (type(fs), path) == (LocalFileSystem, f"/data/{name}")
    assert is_local(fs)


def test_a_relative_path_is_one_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("out/x")[1] == f"{tmp_path}/out/x"


def test_another_url_leads_to_its_file_system() -> None:
    fs, path = locate("memory://some/out")
    assert (type(fs), path) == (MemoryFileSystem, "/some/out")
    assert not is_local(fs)


def test_a_url_of_no_known_file_system_is_refused() -> None:
    with pytest.raises(ValueError, match="nosuch"):
        locate("nosuch://bucket/out")


def test_a_file_system_may_have_one_scheme_or_several() -> None:
    assert protocols(fsspec.filesystem("memory")) == {"memory"}
    assert protocols(LocalFileSystem()) == {"file", "local"}


@pytest.mark.parametrize("fs", [LocalFileSystem(), ArrowFSWrapper(ArrowsLocal())])
def test_a_range_of_a_file_is_read(fs: AbstractFileSystem, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    path = str(tmp_path / "file")
    assert read_range(fs, path, 0, 4) == b"0123"
    assert read_range(fs, path, 3, 5) == b"34"
    assert read_range(fs, path, 0, 100) == read_range(fs, path, 0, 10) == b"0123456789"


# -- versions ------------------------------------------------------------------------------------

THEN = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ({"ETag": '"d41d8"', "size": 3, "LastModified": THEN}, "d41d8"),  # S3, Google, Azure:
        ({"etag": "CJ7", "size": 3}, "CJ7"),
        ({"checksum": 1234, "size": 3}, "1234"),
        ({"md5Hash": "abc=", "size": 3, "updated": "now"}, "abc="),
        ({"etag": "", "size": 3, "mtime": 1.5}, "3-1.5"),
        ({"size": 3, "LastModified": THEN}, "3-2024-05-06 07:08:09+00:00"),
        ({"size": 3, "updated": "now"}, "3-now"),
        ({"size": 3, "created": 7.0, "mtime": 8.5, "ino": 42}, "3-8.5-42"),
        ({"size": 0}, "0-"),
        ({}, "-"),
    ],
)
def test_a_version_is_what_a_store_says_of_a_file(info: dict[str, Any], version: str) -> None:
    assert version_of(info) == version


@pytest.mark.parametrize("change", ["size", "time", "file"])
def test_a_local_file_that_changes_has_another_version(tmp_path: Path, change: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    fs, before = LocalFileSystem(), local_version(str(path))
    of_store = version_of(fs.info(str(path)))
    assert before == "3-1000000000000000000" == file_version(fs, str(path))
    if change == "size":
        path.write_bytes(b"three")
        os.utime(path, ns=(10**18, 10**18))
    elif change == "time":
        os.utime(path, ns=(10**18, 10**18 + 1000))
    else:  # a rename over it, as the store does it: in the same size and time
        (tmp_path / "other").write_bytes(b"two")
        os.utime(tmp_path / "other", ns=(10**18, 10**18))
        (tmp_path / "other").rename(path)
    assert (local_version(str(path)) != before) == (change != "file")
    assert version_of(fs.info(str(path))) != of_store


def test_a_file_that_cannot_be_seen_has_no_version(tmp_path: Path) -> None:
    assert local_version(str(tmp_path / "none")) == ""
    fs = fsspec.filesystem("memory")
    with pytest.raises(FileNotFoundError):
        file_version(fs, f"/{tmp_path.name}/none")


def test_the_version_of_a_file_elsewhere_is_what_its_store_says(tmp_path: Path) -> None:
    fs, path = fsspec.filesystem("memory"), f"/{tmp_path.name}/file"
    fs.pipe_file(path, b"one")
    assert file_version(fs, path) == f"3-{fs.created(path)}"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("webhdfs://host:9870/d/what?.png", "/d/what?.png"),
        ("webhdfs://host:9870/d/a?b#c.png", "/d/a?b#c.png"),
        ("webhdfs://host:9870/d//?x", "/d//?x"),
        ("memory://d/#1.png", "/d/#1.png"),
        ("memory://d/a::b/c.png", "/d/a::b/c.png"),
        ("file:///d/a::b?c#d%20e", "/d/a::b?c#d%20e"),
        ("/d/http://x.png", "/d/http://x.png"),  # a folder whose name ends in a colon
    ],
)
def test_every_character_stands_for_itself(url: str, path: str) -> None:
    assert locate(url)[1] == path


def test_chained_urls_are_a_chain(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/chained/x.txt", b"there")
    for url in ("simplecache::memory://chained/x.txt", "dir://x.txt::memory://chained"):
        fs, path = locate(url)
        assert fs.cat_file(path) == b"there"
    (tmp_path / "x.txt").write_bytes(b"here")
    fs, path = locate(f"dir://x.txt::{tmp_path}")
    assert fs.cat_file(path) == b"here"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://host/a.png", "http://host/a.png"),
        ("https://me:pw@host:8/a.png?b=1&c=%2F", "https://me:pw@host:8/a.png?b=1&c=%2F"),
        ("http://host/a b#1%.png", "http://host/a%20b%231%25.png"),
        ("http://bücher.example/é", "http://xn--bcher-kva.example/%C3%A9"),
        ("http://host?a b", "http://host?a%20b"),
        ("http://host", "http://host"),
        ("http://host/a\nb", "http://host/a%0Ab"),
    ],
)
def test_http_urls_have_the_characters_they_may_have(url: str, sent: str) -> None:
    assert http_url(url) == sent
    assert http_url(sent) == sent
    assert unquote(sent.partition("host")[2]) == unquote(url.partition("host")[2])


@pytest.mark.parametrize("url", ["nosuch://bucket/a", "nosuch::memory://a"])
def test_unknown_schemes_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="nosuch"):
        locate(url)

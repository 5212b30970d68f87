"""Tar shards that are refused, each with a line that says why."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from kdsspark.errors import ConfigError, DatasetError
from tests.archives import dataset, put, refusal, rows
from tests.datasets.layouts.shards import Members, sample, shard


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("1.jpg", b"i"), ("1.txt", b"?")], "sample 1: must have a class, the text of .cls or "),
        ([("1.jpg", b"i"), ("1.json", b"{}")], "got .jpg, .json"),
        ([("1.jpg", b"i"), ("1.json", b"[]")], "got .jpg, .json"),
        ([("1.jpg", b"i"), ("1.json", b"{")], "sample 1: 1.json must be whole JSON: Expecting "),
        ([("1.jpg", b"i"), ("1.json", b'{"label": "x')], "1.json must be whole JSON: Untermin"),
        ([("1.jpg", b"i"), ("1.json", b"[" * 10**5)], "1.json must be whole JSON: "),
        (
            [("1.jpg", b"i"), ("1.json", b'{"label": "x", "label": "y"}')],
            "1.json must be whole JSON: key 'label' comes twice",
        ),
        (
            [("1.jpg", b"i"), ("1.json", b'{"label": "\xe9"}')],
            r"""1.json must be UTF-8, got b'{"label": "\xe9"}'""",
        ),
        ([("1.jpg", b"i"), ("1.json", b'{"label": true}')], "got True"),
        ([("1.jpg", b"i"), ("1.json", b'{"label": 1.0}')], "got 1.0"),
        ([("1.jpg", b"i"), ("1.json", b'{"label": ""}')], "got ''"),
        ([("1.jpg", b"i"), ("1.json", b'{"label": " "}')], "got ' '"),
        ([("1.jpg", b"i"), ("1.json", b'{"label": [1]}')], "got [1]"),
        ([("1.jpg", b"i"), ("1.json", b'{"label": null}')], "got None"),
        ([("1.jpg", b"i"), ("1.cls", b"\xe9t\xe9")], r"1.cls must be UTF-8, got b'\xe9t\xe9'"),
        ([("1.jpg", b"i"), ("1.cls", "x".encode("utf-16"))], r"1.cls must be UTF-8, got b'\xff"),
        ([("1.jpg", b"i"), ("1.cls", b"")], "got ''"),
        ([("1.jpg", b"i"), ("1.jpg", b"i"), ("1.cls", b"x")], "one member .jpg, got 1.jpg, 1.jpg"),
        ([("1.jpg", b"i"), ("1.JPG", b"i"), ("1.cls", b"x")], "one member .jpg, got 1.jpg, 1.JPG"),
        ([("1.jpg", b"i"), ("1.cls", b"x"), ("1.cls", b"y")], "one member .cls, got 1.cls, 1.cls"),
        ([("1.txt", b"i"), ("1.jpg", b"x"), ("1.txt", b"y")], "one member .txt, got 1.txt, 1.txt"),
        ([("1.jpg", b"i"), ("1.cls", b" \n")], "got ''"),
        ([("a/1.jpg", b"i"), ("a/1.png", b"i")], "sample a/1: must have one image, got a/1.jpg, "),
    ],
)
def test_samples_that_are_refused(tmp_path: Path, members: Members, words: str) -> None:
    shard(tmp_path / "a.tar", [*sample("0", "x"), *members])
    line = refusal(dataset("webdataset", tmp_path), DatasetError)
    assert line.startswith(f"dataset set: {tmp_path}/a.tar sample ")
    assert words in line


def test_an_image_that_comes_twice_in_a_shard_is_listed_twice(tmp_path: Path) -> None:
    """Which the index refuses: a sample is what follows each other, so these are two."""
    shard(tmp_path / "a.tar", [*sample("1", "x"), *sample("2", "x"), *sample("1", "x")])
    paths = [row["path"] for row in rows(dataset("webdataset", tmp_path))]
    assert paths == ["a.tar#1.jpg", "a.tar#1.jpg", "a.tar#2.jpg"]


def test_a_member_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("\udce9.jpg"))
    line = refusal(dataset("webdataset", tmp_path), DatasetError)
    assert line.endswith("a.tar: member names must be valid UTF-8, got '\\udce9.jpg'")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2"])
def test_a_compressed_shard_is_refused(tmp_path: Path, mode: str) -> None:
    shard(tmp_path / "a.tar", sample("1", "x"), mode)
    line = refusal(dataset("webdataset", tmp_path), DatasetError)
    assert f"{tmp_path}/a.tar must be a whole, uncompressed tar file: " in line


def test_a_truncated_shard_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    shard(tmp_path / "whole.tar", [m for n in range(3) for m in sample(str(n), "x", n)])
    whole = (tmp_path / "whole.tar").read_bytes()
    last = rows(dataset("webdataset", tmp_path))[-1]["uri"].rsplit("#", 1)[1].split(":")
    end = int(last[0]) + 1024 + 512  # of the label after the last image, which is one block
    for length in (0, 100, 512, 600, 1500, end // 2 + 7, end - 1):
        (tmp_path / "whole.tar").write_bytes(whole[:length])
        line = refusal(dataset("webdataset", tmp_path), DatasetError)
        assert "must be a whole, uncompressed tar file: " in line, length


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", [m for n in range(3) for m in sample(str(n), "x", n)])
    data = bytearray((tmp_path / "a.tar").read_bytes())
    start = int(rows(dataset("webdataset", tmp_path))[1]["uri"].rsplit("#", 1)[1].split(":")[0])
    data[start - 512] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    line = refusal(dataset("webdataset", tmp_path), DatasetError)
    assert line.endswith(f"no header at byte {start - 512}")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("absent", ""),
        ("absent.tar", ""),
        ("empty", ""),
        ("notes.txt", ""),
        ("others", " with 2 .tar.gz (compressed), 1 hidden"),
    ],
)
def test_a_path_without_shards_is_refused(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path, "notes.txt", "others/1.tar.gz", "others/2.tar.gz", "others/.1.tar", data=b"x")
    assert refusal(dataset("webdataset", tmp_path / name), ConfigError) == (
        f"datasets.set.path: must be a .tar file or a folder of some, got {tmp_path / name}{found}"
    )


def test_a_shard_without_its_end_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", [*sample("1", "x"), *sample("2", "x")])
    whole = (tmp_path / "a.tar").read_bytes()
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512  # of the last label, which is one block
    assert whole[end:].strip(b"\0") == b""
    (tmp_path / "a.tar").write_bytes(whole[:end])
    line = refusal(dataset("webdataset", tmp_path), DatasetError)
    assert line.endswith(f"no end of the archive at byte {end}")

"""Tar shards: samples as files of one basename, members read by their place."""

from __future__ import annotations

import json
import re
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsspark.datasets import listing
from kdsspark.datasets.layouts import images as images_of
from kdsspark.datasets.left_out import LeftOut
from kdsspark.errors import ConfigError, DatasetError, ImageError
from kdsspark.images import decoding as images
from kdsspark.images import fetch
from tests.archives import dataset, jpeg, put, refusal, rows
from tests.datasets.layouts.shards import Members, archive, pairs, sample, shard
from tests.listed import left_out


def test_every_sample_of_every_shard(tmp_path: Path) -> None:
    shard(tmp_path / "a-000000.tar", [*sample("n01", "5"), *sample("n02", "a b\n")])
    shard(tmp_path / "sub/a-000001.TAR", sample("deep/n01", "Ω"))
    put(tmp_path, "README.md", "._a-000000.tar", "a.tar.gz", "a.json", data=b"x")
    assert pairs(tmp_path) == {
        "a-000000.tar#n01.jpg": "5",
        "a-000000.tar#n02.jpg": "a b",
        "sub/a-000001.TAR#deep/n01.jpg": "Ω",
    }


def test_one_shard_may_be_the_dataset(tmp_path: Path) -> None:
    shard(tmp_path / "all.tar", sample("n01", "5"))
    assert pairs(tmp_path / "all.tar") == {"all.tar#n01.jpg": "5"}


@pytest.mark.parametrize(
    "members",
    [
        [("1.jpg", b"i"), ("1.cls", b"x")],
        [("1.cls", b" x\n"), ("1.jpg", b"i")],
        [("1.cls", b"\xef\xbb\xbfx\r\n"), ("1.jpg", b"i")],
        [("1.json", b'\xef\xbb\xbf{"label": "x"}'), ("1.jpg", b"i")],
        [("1.json", b'{"label": "x"}'), ("1.PNG", b"i"), ("1.txt", b"a caption")],
        [("1.cls", b"x"), ("1.json", b'{"label": "other"}'), ("1.webp", b"i")],
        [("1.jpg", b"i"), ("1.seg.png", b"mask"), ("1.cls", b"x")],
        [("._1.jpg", b"mac"), ("1.jpg", b"i"), ("._1.cls", b"mac"), ("1.cls", b"x")],
        [("0.txt", b"no image"), ("1.jpg", b"i"), ("1.cls", b"x"), ("meta", b"{}")],
    ],
)
def test_samples_that_say_the_same(tmp_path: Path, members: Members) -> None:
    shard(tmp_path / "a.tar", members)
    (row,) = rows(dataset("webdataset", tmp_path))
    assert row["class_name"] == "x"
    assert images.read(row["uri"]) == b"i"


def test_integers_of_json_are_labels(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", [("1.jpg", b"i"), ("1.json", json.dumps({"label": 7}).encode())])
    assert list(pairs(tmp_path).values()) == ["7"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_as_they_were_written(tmp_path: Path, form: int) -> None:
    names = ["a/1", "a/2", "b#3:4:c/x 5", "folder::with/6", "ü/7", "d" * 90 + "/" + "e" * 60]
    members = [m for n, name in enumerate(names) for m in sample(name, f"c{n}", n)]
    shard(tmp_path / "odd #1.tar", members, form=form)
    found = rows(dataset("webdataset", tmp_path))
    assert [row["path"] for row in found] == sorted(f"odd #1.tar#{name}.jpg" for name in names)
    for row in found:
        number = int(row["class_name"][1:])
        assert images.read(row["uri"]) == jpeg(number)
        assert row["uri"].endswith(f":{names[number]}.jpg")


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=1500), min_size=1, max_size=8))
def test_any_bytes_come_back(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    root = tmp_path_factory.mktemp("wds")
    shard(root / "a.tar", [m for n, data in enumerate(contents)
                           for m in ((f"{n}.jpg", data), (f"{n}.cls", b"x"))])  # fmt: skip
    found = {row["path"]: row["uri"] for row in rows(dataset("webdataset", root))}
    assert [images.read(found[f"a.tar#{n}.jpg"]) for n in range(len(contents))] == contents


def test_shards_on_other_file_systems(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", sample("1", "x", 3))
    url = f"memory://{tmp_path.name}/shards"
    fsspec.filesystem("memory").pipe_file(f"{url}/a.tar", (tmp_path / "a.tar").read_bytes())
    (row,) = rows(dataset("webdataset", url))
    assert row["path"] == "a.tar#1.jpg"
    assert row["uri"].startswith(f"{url}/a.tar#")
    assert images.read(row["uri"]) == jpeg(3)


def test_only_the_member_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = jpeg(1, (400, 400))
    shard(tmp_path / "a.tar", [("0.jpg", big), ("0.cls", b"x"), *sample("1", "x")])
    read: list[int] = []
    real = fetch.read_range

    def noting(*which: Any) -> bytes:
        data = real(*which)
        read.append(len(data))
        return data

    monkeypatch.setattr(fetch, "read_range", noting)
    found = {row["path"]: row["uri"] for row in rows(dataset("webdataset", tmp_path))}
    images.read(found["a.tar#1.jpg"])
    assert read == [len(jpeg())]


def test_the_version_is_the_shards(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", sample("1", "x"))
    state = (tmp_path / "a.tar").stat()
    (row,) = rows(dataset("webdataset", tmp_path))
    assert row["version"] == f"{state.st_size}-{state.st_mtime_ns}"


def test_a_member_of_a_shard_that_shrank_is_no_image(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", sample("1", "x"))
    (row,) = rows(dataset("webdataset", tmp_path))
    (tmp_path / "a.tar").write_bytes(b"short")
    with pytest.raises(ImageError) as caught:
        images.read(row["uri"])
    assert caught.value.stage == "read"
    assert "tar file must hold" in caught.value.message
    (tmp_path / "a.tar").unlink()
    with pytest.raises(ImageError) as caught:
        images.read(row["uri"])
    assert caught.value.error == "FileNotFoundError"


def test_memory_does_not_grow_with_the_number_of_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BATCH", 256)
    peaks = []
    for n_samples in (500, 2500):
        names = [f"{n}.{suffix}" for n in range(n_samples) for suffix in ("jpg", "cls")]
        shard(tmp_path / "a.tar", [(name, b"x") for name in names])
        tracemalloc.start()
        tables = images_of(dataset("webdataset", tmp_path), LeftOut())
        assert sum(len(table) for table in tables) == n_samples
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


# -- splits -------------------------------------------------------------------------------------


SHARDS = ("wds-train-0000", "wds-train-0001", "wds1k-validation-00", "test/trainer", "pretrain")


@pytest.fixture
def split_shards(tmp_path: Path) -> Path:
    for number, name in enumerate(SHARDS):
        shard(tmp_path / f"{name}.tar", sample("1", "x", number))
    return tmp_path


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", ["wds-train-0000", "wds-train-0001"]),
        ("validation", ["wds1k-validation-00"]),
        ("Test", ["test/trainer"]),
        (None, sorted(SHARDS)),
    ],
)
def test_a_split_is_a_word_of_the_name(
    split_shards: Path, split: str | None, expected: list[str]
) -> None:
    assert list(pairs(split_shards, split)) == [f"{name}.tar#1.jpg" for name in expected]


def test_a_split_that_no_name_tells_of_is_refused(split_shards: Path) -> None:
    assert refusal(dataset("webdataset", split_shards, "val"), ConfigError) == (
        "datasets.set.split: must be a word of file names, which have train, validation, test, "
        "got 'val'"
    )


# -- several archives in one file ---------------------------------------------------------------


ONE = archive(sample("a", "x", 1))
TWO = archive([*sample("b/ü" + "y" * 150, "y", 2), *sample("c", "z", 3)])
CONCATENATED = {
    "two": ONE + TWO,
    "one end block": ONE.rstrip(b"\0") + bytes(-len(ONE.rstrip(b"\0")) % 512 + 512) + TWO,
    "many end blocks": ONE + bytes(512 * 5000) + TWO + bytes(3 << 20),
    "an empty one first": archive([]) + ONE + archive([]) + TWO,
    "of other formats": ONE + archive(sample("b", "y", 2), form=tarfile.GNU_FORMAT),
}


@pytest.mark.parametrize("data", CONCATENATED.values(), ids=CONCATENATED)
def test_archives_are_read_to_the_last(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with tarfile.open(tmp_path / "a.tar", ignore_zeros=True) as tar:
        expected = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
        names = [m.name for m in tar.getmembers() if m.name.endswith(".jpg")]
    found = rows(dataset("webdataset", tmp_path))
    assert [row["path"] for row in found] == sorted(f"a.tar#{name}" for name in names)
    for row in found:
        name = row["path"].removeprefix("a.tar#")
        assert images.read(row["uri"]) == expected[name]
        assert row["class_name"] == expected[name.replace(".jpg", ".cls")].decode()


def test_a_member_that_comes_twice_in_two_archives_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(ONE + ONE)
    line = refusal(dataset("webdataset", tmp_path), DatasetError)
    assert line.endswith("a.tar sample a: must have one member .jpg, got a.jpg, a.jpg")


@pytest.mark.parametrize("end", [b"garbage", b"x" * 512, b"x" * 700])
def test_what_follows_an_archive_must_be_one(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(ONE + end)
    line = refusal(dataset("webdataset", tmp_path), DatasetError)
    assert line.endswith(f"must be a whole, uncompressed tar file: no header at byte {len(ONE)}")


# -- keys and endings ---------------------------------------------------------------------------

# How WebDataset takes names apart: the key, and an ending that is then put in lower case.
KEY = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")


@pytest.mark.parametrize(
    "name",
    ["1", "a/1", "a.b/1", "v1.2/x.y/1", "./1", "../1", "A/1", "a b/Ω", "a/.hidden/1", "1-_+@%#:"],
)
@pytest.mark.parametrize("suffix", ["jpg", "JPG", "JpEg", "PNG"])
def test_keys_and_endings_are_webdatasets(tmp_path: Path, name: str, suffix: str) -> None:
    match = KEY.match(f"{name}.{suffix}")
    assert match
    assert match.groups() == (name, suffix)
    members = [(f"{name}.{suffix}", b"i"), (f"{name}.CLS", b"x"), *sample("other", "y")]
    shard(tmp_path / "a.tar", members)
    assert pairs(tmp_path)[f"a.tar#{name}.{suffix}"] == "x"
    assert len(pairs(tmp_path)) == 2


def test_keys_that_differ_in_case_are_two_samples(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", [*sample("a", "x"), *sample("A", "y")])
    assert pairs(tmp_path) == {"a.tar#a.jpg": "x", "a.tar#A.jpg": "y"}


HEIF = "no decoder: install kdsspark[heif]"
DOTS = "more than one dot in the name"
LEFT_OUT: dict[str, tuple[Members, list[tuple[str | None, str, str, int]]]] = {
    "captions and masks": (
        [("1.txt", b""), ("1.jpg", b"i"), ("1.seg.PNG", b""), ("1.cls", b"x"), ("1.json", b"{}")],
        [(None, ".json", "not read", 1), (None, ".png", DOTS, 1), (None, ".txt", "not read", 1)],
    ),
    "dots in the key": (
        [("b.x.jpg", b"i"), ("b.x.cls", b"1"), ("c.0.jpg", b"i"), ("c.0.cls", b"1")],
        [(None, ".cls", "not read", 2), (None, ".jpg", DOTS, 2)],
    ),
    "no image": (
        [("1.txt", b""), ("1.cls", b"x"), ("2.mp4", b""), ("2.json", b"{")],
        [
            (None, ".cls", "no image beside it", 1),
            (None, ".json", "no image beside it", 1),
            (None, ".mp4", "not read", 1),
            (None, ".txt", "not read", 1),
        ],
    ),
    "no ending": (
        [("meta", b""), ("a.b/meta", b""), (".hidden", b""), ("a/._1.jpg", b"")],
        [(None, "", "hidden", 2), (None, "", "not read", 2)],
    ),
    "photographs": (
        [("1.heic", b""), ("1.cls", b"emu"), ("2.HEIC", b""), ("2.json", b'{"label": "x"}')],
        [
            (None, ".cls", "no image beside it", 1),
            (None, ".heic", HEIF, 1),
            (None, ".json", "no image beside it", 1),
            ("emu", ".heic", HEIF, 1),
        ],
    ),
    "photographs without a class": (
        [("1.cr2", b""), ("1.txt", b"")],
        [(None, ".cr2", "no decoder", 1), (None, ".txt", "not read", 1)],
    ),
}


@pytest.mark.parametrize(("members", "expected"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_members_that_are_left_out_are_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: Members,
    expected: list[tuple[str | None, str, str, int]],
) -> None:
    monkeypatch.setattr(images, "find_spec", lambda _: None)  # no plug-in, whatever is installed
    shard(tmp_path / "a.tar", [*sample("0", "x"), *members, *sample("9", "x")])
    assert left_out(dataset("webdataset", tmp_path)) == expected


def test_links_in_shards_and_files_beside_them_are_counted(tmp_path: Path) -> None:
    shard(tmp_path / "train.tar", sample("0", "x"))
    shard(tmp_path / "test.tar", sample("0", "x"))
    put(tmp_path, "README.md", "._train.tar", "b.tar.gz", "1.jpg", data=b"x")
    with tarfile.open(tmp_path / "train.tar", "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("1.jpg")
            info.type, info.linkname = kind, "0.jpg"
            tar.addfile(info)
    assert left_out(dataset("webdataset", tmp_path, "train")) == [
        (None, ".jpg", "no regular file", 3),
        (None, "", "hidden", 1),
        (None, ".jpg", "not read", 1),
        (None, ".md", "not read", 1),
        (None, ".tar", "not in this split", 1),
        (None, ".tar.gz", "compressed", 1),
    ]

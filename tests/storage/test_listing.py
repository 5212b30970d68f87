"""Class folders and manifests: what is an image, which class it has, and what is refused."""

import gzip
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import Dataset
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.storage import listing
from kdsspark.storage.files import version_of
from kdsspark.storage.layouts import images
from kdsspark.storage.listing import BATCH, LISTING

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


def folder(root: Path | str) -> Dataset:
    return Dataset(name="birds", path=str(root))


def manifest(path: Path | str, content: str | bytes | None = None) -> Dataset:
    if content is not None:
        data = content.encode() if isinstance(content, str) else content
        Path(path).write_bytes(data)
    return Dataset(name="birds", path=str(path), layout="manifest")


# -- folders ------------------------------------------------------------------------------------


def test_the_class_is_the_first_folder_whatever_lies_below(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/deep/er/2.png", "b/a/3.webp", "b/4.JPG", "b/5.JpEg")
    assert pairs(folder(tmp_path)) == [
        ("a/1.jpg", "a"),
        ("a/deep/er/2.png", "a"),
        ("b/4.JPG", "b"),
        ("b/5.JpEg", "b"),
        ("b/a/3.webp", "b"),
    ]


def test_what_is_no_image_of_a_class_is_left_out(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/1.jpg", "beside.jpg", "a/notes.txt", "a/Thumbs.db", "a/noend", "a/1.jpg.part"
    )
    touch(tmp_path, "a/.hidden.jpg", "a/.cache/2.jpg", ".git/3.jpg")
    (tmp_path / "empty").mkdir()
    assert pairs(folder(tmp_path)) == [("a/1.jpg", "a")]


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_uris_of_local_images_are_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, end: str
) -> None:
    touch(tmp_path, "data/a/1.jpg")
    found = rows(folder(f"{prefix}{tmp_path}/data{end}"))
    assert found == [("a/1.jpg", f"{tmp_path}/data/a/1.jpg", "a")]
    monkeypatch.chdir(tmp_path)
    assert rows(folder(f"./data{end}")) == found


def test_names_are_carried_unchanged(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{name}.jpg" for name in AWKWARD))
    expected = [(f"{n}/{n}.jpg", f"{tmp_path}/{n}/{n}.jpg", n) for n in AWKWARD]
    assert rows(folder(tmp_path)) == sorted(expected)


def test_the_root_itself_may_have_any_name(tmp_path: Path) -> None:
    for name in AWKWARD:
        touch(tmp_path / name, "a/1.jpg")
        assert rows(folder(tmp_path / name)) == [("a/1.jpg", f"{tmp_path}/{name}/a/1.jpg", "a")]


def test_linked_folders_and_files_count_as_what_they_link_to(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.jpg", "elsewhere/sub/2.jpg", "data/a/3.jpg")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "a" / "4.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "data" / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert pairs(folder(tmp_path / "data")) == [
        ("a/3.jpg", "a"),
        ("a/4.jpg", "a"),
        ("a/gone.jpg", "a"),  # indexed, and fails when it is read
        ("b/1.jpg", "b"),
        ("b/sub/2.jpg", "b"),
    ]


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_folder_that_links_to_one_above_it_is_refused(tmp_path: Path, target: str) -> None:
    touch(tmp_path, "data/a/1.jpg")
    (tmp_path / "data" / "a" / "loop").symlink_to(target)
    assert "folder links to one above it" in refusal(folder(tmp_path / "data"))


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    with open(os.fsencode(tmp_path) + b"/a/\xff.jpg", "wb"):  # noqa: PTH123
        pass
    assert "file names must be valid UTF-8, got '" in refusal(folder(tmp_path))


@pytest.mark.parametrize("name", ["absent", "file.jpg"])
def test_a_path_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "file.jpg")
    with pytest.raises(ConfigError) as caught:
        list(images(folder(tmp_path / name)))
    assert str(caught.value) == (
        f"datasets.birds.path: must be a folder of class folders, got {tmp_path / name}"
    )


def test_a_path_that_is_no_folder_of_another_file_system_is_refused(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/absent"
    with pytest.raises(ConfigError) as caught:
        list(images(folder(url)))
    assert str(caught.value) == f"datasets.birds.path: must be a folder of class folders, got {url}"


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/1.jpg")
    os.mkfifo(tmp_path / "data" / "a" / "pipe.jpg")
    (tmp_path / "data" / "a" / "linked-pipe.jpg").symlink_to("pipe.jpg")
    (tmp_path / "data" / "a" / "device.jpg").symlink_to(os.devnull)
    (tmp_path / "data" / "a" / "linked.jpg").symlink_to("1.jpg")
    assert pairs(folder(tmp_path / "data")) == [("a/1.jpg", "a"), ("a/linked.jpg", "a")]


def test_what_another_file_system_calls_no_file_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = fsspec.filesystem("memory")
    for name in ("1.jpg", "pipe.jpg"):
        fs.pipe_file(f"memory://{tmp_path.name}/a/{name}", b"x")
    real = type(fs).ls

    def ls(self: fsspec.AbstractFileSystem, path: str, **options: Any) -> list[dict[str, Any]]:
        found = real(self, path, **options)
        pipes = [info for info in found if info["name"].endswith("pipe.jpg")]
        return [info | ({"type": "other"} if info in pipes else {}) for info in found]

    monkeypatch.setattr(type(fs), "ls", ls)
    assert pairs(folder(f"memory://{tmp_path.name}")) == [("a/1.jpg", "a")]


@pytest.mark.parametrize("layout", ["folder", "manifest"])
def test_an_unknown_file_system_is_named(layout: str) -> None:
    dataset = Dataset.model_validate({"name": "birds", "path": "nosuch://x", "layout": layout})
    assert refusal(dataset).startswith(f"{layout} nosuch://x cannot be read: Protocol not known")


def test_folders_of_other_file_systems(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}/data"
    fs = fsspec.filesystem("memory")
    names = ["a/1.jpg", "a/deep/2.PNG", "b c/3.jpg", "a/.hidden/4.jpg", "beside.jpg", "a/text"]
    for name in names:
        fs.pipe_file(f"{root}/{name}", b"x")
    assert rows(folder(root)) == [
        ("a/1.jpg", f"{root}/a/1.jpg", "a"),
        ("a/deep/2.PNG", f"{root}/a/deep/2.PNG", "a"),
        ("b c/3.jpg", f"{root}/b c/3.jpg", "b c"),
    ]
    assert rows(folder(f"{root}/")) == rows(folder(root))


def versions(dataset: Dataset) -> list[str]:
    return [v for table in images(dataset) for v in table["version"].to_pylist()]


def test_the_version_changes_with_the_content(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    os.utime(tmp_path / "a/1.jpg", ns=(10**18, 10**18))
    before = versions(folder(tmp_path))
    assert versions(folder(tmp_path)) == before
    (tmp_path / "a/1.jpg").write_bytes(b"longer")
    os.utime(tmp_path / "a/1.jpg", ns=(10**18, 10**18))
    longer = versions(folder(tmp_path))
    os.utime(tmp_path / "a/1.jpg", ns=(10**18, 10**18 + 1))
    assert len({*before, *longer, *versions(folder(tmp_path))}) == 3


def test_the_version_of_an_object_changes_when_it_is_written_again(tmp_path: Path) -> None:
    path = f"memory://{tmp_path.name}/a/1.jpg"
    fs = fsspec.filesystem("memory")
    fs.pipe_file(path, b"x")
    before = versions(folder(f"memory://{tmp_path.name}"))
    fs.pipe_file(path, b"y")
    assert versions(folder(f"memory://{tmp_path.name}")) != before


def test_a_store_is_asked_for_its_own_word_on_a_files_state() -> None:
    version = version_of
    assert version({"ETag": '"1a"', "size": 3, "LastModified": "now"}) == "1a"
    assert version({"size": 3, "LastModified": "now"}) == "3-now"
    assert version({"size": 3, "mtime": 1.5}) == "3-1.5"


# -- a million images ---------------------------------------------------------------------------


@dataclass
class FakeEntry:
    name: str
    folder: bool = False

    def is_dir(self) -> bool:
        return self.folder

    def is_file(self) -> bool:
        return not self.folder

    def is_symlink(self) -> bool:
        return False


class FakeFolder:
    """Pretends that ``root`` has one class of ``n_images``, and counts how many were asked for."""

    def __init__(self, root: Path, n_images: int) -> None:
        self.root, self.n_images, self.asked = str(root), n_images, 0

    @contextmanager
    def scandir(self, path: str) -> Iterator[Iterator[FakeEntry]]:
        yield iter([FakeEntry("class", folder=True)]) if path == self.root else self.images()

    def images(self) -> Iterator[FakeEntry]:
        for number in range(1, self.n_images + 1):
            self.asked = number
            yield FakeEntry(f"image-{number:07d}.jpg")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFolder:
    fake = FakeFolder(tmp_path, 300_000)
    monkeypatch.setattr(listing.os, "scandir", fake.scandir)
    monkeypatch.setattr(listing, "_stat", lambda path: f"1000-{hash(path)}")
    return fake


def test_a_folder_of_very_many_images_is_read_as_a_stream(fake: FakeFolder) -> None:
    told = 0
    for table in images(folder(fake.root)):
        told += len(table)
        assert fake.asked == told  # nothing is read ahead
        assert len(table) <= BATCH == 65_536
    assert told == 300_000


def test_memory_does_not_grow_with_the_number_of_images(
    fake: FakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BATCH", 4096)
    peaks = []
    for fake.n_images in (10_000, 50_000):
        tracemalloc.start()
        assert sum(len(table) for table in images(folder(fake.root))) == fake.n_images
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 4096 * 1000  # so 65 MB at most for a batch of 65,536


# -- manifests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["list.csv", "list.CSV"])
def test_a_manifest_of_csv(tmp_path: Path, name: str) -> None:
    text = 'path,label\n1.jpg,a\n"sub/with, comma.png","b, ""c"""\n./x/../2.jpg,1\nno-suffix,NA\n'
    assert rows(manifest(tmp_path / name, text)) == [
        ("1.jpg", f"{tmp_path}/1.jpg", "a"),
        ("2.jpg", f"{tmp_path}/2.jpg", "1"),
        ("no-suffix", f"{tmp_path}/no-suffix", "NA"),
        ("sub/with, comma.png", f"{tmp_path}/sub/with, comma.png", 'b, "c"'),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "path,label\n1.jpg,a\n2.jpg,b\n",
        "path,label\r\n1.jpg,a\r\n2.jpg,b\r\n",
        "path,label\n1.jpg,a\n2.jpg,b",
        "\N{BYTE ORDER MARK}path,label\n1.jpg,a\n\n2.jpg,b\n",
        "split,label,path\ntrain,a,1.jpg\n,b,2.jpg\n",
        'path,"label"\n"1.jpg",a\n2.jpg,"b"\n',
    ],
)
def test_manifests_that_say_the_same(tmp_path: Path, content: str) -> None:
    expected = [("1.jpg", "a"), ("2.jpg", "b")]
    assert pairs(manifest(tmp_path / "list.csv", content)) == expected
    zipped = gzip.compress(content.encode())
    assert pairs(manifest(tmp_path / "list.csv.gz", zipped)) == expected


def test_labels_may_hold_any_text(tmp_path: Path) -> None:
    labels = [*AWKWARD, "two\nlines", "007", "1.50", "true", "2024-01-01", " spaced ", "a/b"]
    quoted = ['"' + label.replace('"', '""') + '"' for label in labels]
    lines = [f"{number:02d}.jpg,{label}\n" for number, label in enumerate(quoted)]
    dataset = manifest(tmp_path / "list.csv", "path,label\n" + "".join(lines))
    assert [label for _, label in pairs(dataset)] == labels


def test_other_columns_may_hold_anything(tmp_path: Path) -> None:
    # Far enough apart (3 MB) that a reader of blocks has made up its mind about the column.
    lines = "".join(f"{number}.jpg,a,{number},{'-' * 1000}\n" for number in range(3000))
    dataset = manifest(tmp_path / "list.csv", f"path,label,note,pad\n{lines}x.jpg,b,late,\n")
    assert sum(len(table) for table in images(dataset)) == 3001


def test_lines_may_break_within_values_anywhere(tmp_path: Path) -> None:
    pad = '"' + "more, and\n" * 1000 + '"'
    lines = "".join(f"{number}.jpg,a,{pad}\n" for number in range(300))  # 3 MB: several blocks
    dataset = manifest(tmp_path / "list.csv", f"path,label,pad\n{lines}")
    assert [path for path, _ in pairs(dataset)] == sorted(f"{n}.jpg" for n in range(300))


def test_paths_may_be_relative_absolute_or_urls(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    text = (
        "path,label\n../images/1.jpg,a\n"
        f"{tmp_path}/lists/2.jpg,a\n/elsewhere/3.jpg,b\nfile:///elsewhere/4.jpg,b\n"
        "s3://bucket/5.jpg,c\nmemory://x/6 7.jpg,c\n"
    )
    assert rows(manifest(tmp_path / "lists/list.csv", text)) == sorted([
        ("../images/1.jpg", f"{tmp_path}/images/1.jpg", "a"),
        ("2.jpg", f"{tmp_path}/lists/2.jpg", "a"),
        ("/elsewhere/3.jpg", "/elsewhere/3.jpg", "b"),
        ("/elsewhere/4.jpg", "/elsewhere/4.jpg", "b"),
        ("s3://bucket/5.jpg", "s3://bucket/5.jpg", "c"),
        ("memory://x/6 7.jpg", "memory://x/6 7.jpg", "c"),
    ])  # fmt: skip


def test_manifests_on_other_file_systems(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}/lists"
    fsspec.filesystem("memory").pipe_file(f"{root}/list.csv", b"path,label\nsub/1.jpg,a\n")
    found = rows(manifest(f"{root}/list.csv"))
    assert found == [("sub/1.jpg", f"{root}/sub/1.jpg", "a")]


def test_the_version_of_a_manifests_local_file_changes_with_it(tmp_path: Path) -> None:
    dataset = manifest(tmp_path / "list.csv", "path,label\n1.jpg,a\n")
    absent = versions(dataset)
    touch(tmp_path, "1.jpg")
    assert versions(dataset) != absent


def parquet(path: Path, paths: list[str | None], labels: pa.Array | list[object]) -> Dataset:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"label": labels, "extra": [[1]] * len(paths), "path": paths}), path)
    return manifest(path)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array(["a", "b"]), ["a", "b"]),
        (pa.array([3, 10], pa.int64()), ["3", "10"]),
        (pa.array([3, 10], pa.uint8()), ["3", "10"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_a_manifest_of_parquet(tmp_path: Path, labels: pa.Array, names: list[str]) -> None:
    dataset = parquet(tmp_path / "list.parquet", ["1.jpg", "s/2.jpg"], labels)
    assert rows(dataset) == [
        ("1.jpg", f"{tmp_path}/1.jpg", names[0]),
        ("s/2.jpg", f"{tmp_path}/s/2.jpg", names[1]),
    ]


def test_a_manifest_may_be_a_folder_of_parquet(tmp_path: Path) -> None:
    parquet(tmp_path / "list" / "part-0.parquet", ["1.jpg"], ["a"])
    parquet(tmp_path / "list" / "part-1.parquet", ["2.jpg"], ["b"])
    touch(tmp_path, "list/_SUCCESS")
    found = rows(manifest(tmp_path / "list"))
    assert found == [("1.jpg", f"{tmp_path}/1.jpg", "a"), ("2.jpg", f"{tmp_path}/2.jpg", "b")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,class\n1.jpg,a\n", "must have the columns path and label, got path, class"),
        ("path;label\n1.jpg;a\n", "must have the columns path and label, got path;label"),
        ("1.jpg,a\n2.jpg,b\n", "must have the columns path and label, got 1.jpg, a"),
        ("path,label\n1.jpg,a\n2.jpg,\n", "row 3: label must not be empty"),
        ("path,label\n1.jpg,a\n,b\n", "row 3: path must not be empty"),
        ("path,label\n1.jpg,a\n2.jpg\n", "cannot be read: CSV parse error"),
        ("", "cannot be read: Empty CSV file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "cannot be read: "),
        (b"path,label\n1.jpg,\xff\xfe\n", "cannot be read: "),
    ],
)
def test_a_manifest_of_csv_is_refused(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "list.csv"
    line = refusal(manifest(path, content))
    assert line.startswith(f"manifest {path} ")
    assert words in line


def test_the_row_of_an_empty_label_is_counted_through_the_whole_file(tmp_path: Path) -> None:
    lines = "".join(f"{number}.jpg,a,{'-' * 1000}\n" for number in range(3000))  # several blocks
    dataset = manifest(tmp_path / "list.csv", f"path,label,pad\n{lines}last.jpg,,\n")
    assert refusal(dataset).endswith("row 3002: label must not be empty")


def test_a_manifest_of_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    assert "row 2: label must not be empty" in refusal(parquet(path, ["1.jpg", "2"], ["a", None]))
    assert "row 1: path must not be empty" in refusal(parquet(path, [None, "2"], ["a", "b"]))
    assert "cannot be read: " in refusal(parquet(path, ["1.jpg"], [["a"]]))
    pq.write_table(pa.table({"path": ["1.jpg"], "class": ["a"]}), path)
    assert "must have the columns path and label, got path, class" in refusal(manifest(path))
    assert "cannot be read: " in refusal(manifest(path, b"not Parquet"))


@pytest.mark.parametrize("name", ["absent.parquet", "absent.csv"])
def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    for url in (f"{tmp_path}/{name}", f"memory://{tmp_path.name}/{name}"):
        with pytest.raises(ConfigError) as caught:
            list(images(manifest(url)))
        assert str(caught.value) == (
            f"datasets.birds.path: must be a readable CSV or Parquet file, got {url}"
        )

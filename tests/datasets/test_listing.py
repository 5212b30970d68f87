"""Class folders: what is an image, which class it has, and what is refused."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final

import fsspec
import pytest

from kdsspark.config import ImageDataset
from kdsspark.datasets import listing
from kdsspark.datasets.layouts import images
from kdsspark.datasets.left_out import NOT_READ, LeftOut
from kdsspark.datasets.listing import BATCH
from kdsspark.errors import ConfigError
from kdsspark.images import decoding
from kdsspark.output.filesystems import version_of
from tests.listed import AWKWARD, left_out, pairs, refusal, rows, touch, versions
from tests.objects import Objects

OUTSIDE: Final = "in no class folder"
HEIF: Final = "no decoder: install kdsspark[heif]"


def folder(root: Path | str) -> ImageDataset:
    return ImageDataset(name="birds", path=str(root))


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


@pytest.fixture(params=["local", "store"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ImageDataset]:
    """Writes files below a root, here or on an object store; the dataset is of that root."""
    monkeypatch.setattr(decoding, "find_spec", lambda _: None)  # no plug-in, whatever is installed

    def write(*names: str) -> ImageDataset:
        if request.param == "local":
            touch(tmp_path, *names)
            return folder(tmp_path)
        root = f"memory://{tmp_path.name}"
        for name in names:
            fsspec.filesystem("memory").pipe_file(f"{root}/{name}", b"x")
        return folder(root)

    return write


LEFT_OUT = {
    "nothing": ([], []),
    "other files": (["a/notes.txt", "a/b/Notes.TXT", "a/x.csv"], [(None, ".txt", NOT_READ, 2),
        (None, ".csv", NOT_READ, 1)]),
    "no ending": (["a/noend", "a/1.0001", "a/1.3f2a9c81b7d04e5f"], [(None, "", NOT_READ, 3)]),
    "half uploaded": (["a/1.jpg.part", "a/1.jpg~"], [(None, "", NOT_READ, 1),
        (None, ".part", NOT_READ, 1)]),
    "hidden": (["a/.hidden.jpg", "a/._1.jpg", "a/.DS_Store", ".git/3.jpg", ".git/4.jpg"],
        [(None, "", "hidden", 4)]),
    "beside the classes": (["1.jpg", "2.JPG", "readme.md"], [(None, ".jpg", OUTSIDE, 2),
        (None, ".md", OUTSIDE, 1)]),
    "photographs": (["a/1.heic", "a/2.HEIC", "a/3.cr2"], [(None, ".heic", HEIF, 2),
        (None, ".cr2", "no decoder", 1)]),
    "a class of photographs": (["b/1.heic", "b/c/2.HEIF", "b/.x"], [("b", "", "hidden", 1),
        ("b", ".heic", HEIF, 1), ("b", ".heif", HEIF, 1)]),
    "classes of other files": (["c/1.txt", "b/1.txt", "a/2.txt"], [(None, ".txt", NOT_READ, 1),
        ("b", ".txt", NOT_READ, 1), ("c", ".txt", NOT_READ, 1)]),
    "archives": (["a/1.tar.gz", "a/2.TGZ"], [(None, ".tar.gz", "compressed", 1),
        (None, ".tgz", "compressed", 1)]),
}  # fmt: skip


@pytest.mark.parametrize(("names", "expected"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_left_out_is_counted_by_ending_and_reason(
    place: Callable[..., ImageDataset],
    names: list[str],
    expected: list[tuple[str | None, str, str, int]],
) -> None:
    dataset = place("a/1.jpg", *names)
    assert pairs(dataset) == [("a/1.jpg", "a")]
    assert left_out(dataset) == expected


def test_classes_that_are_empty_or_not_mounted_are_left_out_whole(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "empty").mkdir()  # a folder below a class is none
    (tmp_path / "b" / "empty").mkdir(parents=True)
    (tmp_path / "c").symlink_to("/nowhere/c")
    (tmp_path / "d.txt").symlink_to("/nowhere/d.txt")
    (tmp_path / "a" / "e").symlink_to("/nowhere/e")
    assert left_out(folder(tmp_path)) == [
        (None, "", "link that leads nowhere", 1),
        (None, ".txt", OUTSIDE, 1),
        ("b", "", "empty folder", 0),
        ("c", "", "link that leads nowhere", 1),
    ]


def test_photographs_that_a_plug_in_reads_are_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "find_spec", lambda _: object())
    touch(tmp_path, "a/1.heic", "a/2.HIF", "a/3.cr2")
    assert pairs(folder(tmp_path)) == [("a/1.heic", "a"), ("a/2.HIF", "a")]
    assert left_out(folder(tmp_path)) == [(None, ".cr2", "no decoder", 1)]


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
        list(images(folder(tmp_path / name), LeftOut()))
    assert str(caught.value) == (
        f"datasets.birds.path: must be a folder of class folders, got {tmp_path / name}"
    )


def test_a_path_that_is_no_folder_of_another_file_system_is_refused(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/absent"
    with pytest.raises(ConfigError) as caught:
        list(images(folder(url), LeftOut()))
    assert str(caught.value) == f"datasets.birds.path: must be a folder of class folders, got {url}"


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/1.jpg")
    os.mkfifo(tmp_path / "data" / "a" / "pipe.jpg")
    (tmp_path / "data" / "a" / "linked-pipe.jpg").symlink_to("pipe.jpg")
    (tmp_path / "data" / "a" / "device.jpg").symlink_to(os.devnull)
    (tmp_path / "data" / "a" / "linked.jpg").symlink_to("1.jpg")
    assert pairs(folder(tmp_path / "data")) == [("a/1.jpg", "a"), ("a/linked.jpg", "a")]
    assert left_out(folder(tmp_path / "data")) == [(None, ".jpg", "no regular file", 3)]


class Pipes(Objects):
    """A store that has a pipe, which is neither a file nor a folder."""

    protocol: ClassVar[str] = "pipes"
    objects: ClassVar[dict[str, bytes]] = {"data/a/1.jpg": b"x", "data/a/pipe.jpg": b"x"}

    def _file(self, path: str) -> dict[str, Any]:
        info = super()._file(path)
        return info | {"type": "other"} if path.endswith("pipe.jpg") else info


def test_what_another_file_system_calls_no_file_is_left_out() -> None:
    fsspec.register_implementation("pipes", Pipes, clobber=True)
    assert pairs(folder("pipes://data")) == [("a/1.jpg", "a")]
    assert left_out(folder("pipes://data")) == [(None, ".jpg", "no regular file", 1)]


@pytest.mark.parametrize("layout", ["folder", "manifest"])
def test_an_unknown_file_system_is_named(layout: str) -> None:
    dataset = ImageDataset.model_validate({"name": "birds", "path": "nosuch://x", "layout": layout})
    with pytest.raises(ConfigError, match=r"^datasets.birds.path: .* got nosuch://x: Protocol not"):
        pairs(dataset)


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


# -- keys of object stores ----------------------------------------------------------------------


class FlatObjects(Objects):
    """Lists all keys below a prefix, as object stores do."""

    protocol: ClassVar[str] = "flat"
    objects: ClassVar[dict[str, bytes]] = {}

    def find(self, path: str, detail: bool = False, **_: Any) -> Any:
        found = {name: self._file(name) for name in self.objects if name.startswith(f"{path}/")}
        return found if detail else list(found)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for store in (Objects, FlatObjects):
        monkeypatch.setattr(store, "objects", {})
        fsspec.register_implementation(store.protocol, store, clobber=True)
    return None


@pytest.mark.usefixtures("stores")
def test_keys_with_empty_parts_are_listed() -> None:
    names = ["dog/1.png", "dog//2.png", "dog///3.png", "dog//deep/4.png", "dog/deep//5.png"]
    others = ["dog//.hid/6.png", "dog//7.txt", "dog/", "dog//", "cat/"]
    FlatObjects.objects.update(dict.fromkeys((f"b/imgs/{name}" for name in names + others), b"x"))
    found = rows(folder("flat://b/imgs"))
    assert found == sorted((name, f"flat://b/imgs/{name}", "dog") for name in names)
    assert left_out(folder("flat://b/imgs")) == [
        (None, "", "hidden", 1),
        (None, ".txt", NOT_READ, 1),
        ("cat", "", "empty folder", 0),
    ]


@pytest.mark.usefixtures("stores")
def test_keys_with_an_empty_part_in_place_of_a_class_are_refused() -> None:
    FlatObjects.objects.update({"b/imgs/a/1.png": b"x", "b/imgs//a/2.png": b"x"})
    assert refusal(folder("flat://b/imgs/")) == (
        "keys must have a class folder right below flat://b/imgs, got flat://b/imgs//"
    )


@pytest.mark.usefixtures("stores")
def test_keys_with_empty_parts_are_refused_where_they_cannot_be_listed() -> None:
    Objects.objects.update({"b/imgs/a/1.png": b"x", "b/imgs/a//2.png": b"x"})
    assert refusal(folder("objects://b/imgs")) == (
        "folder objects://b/imgs cannot be read: keys with an empty part cannot be listed here, "
        "got b/imgs/a//"
    )


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("name", [*AWKWARD, "a?versionId=1", "..", "+&;,@"])
def test_keys_are_carried_unchanged(name: str) -> None:
    root, below = f"b/root{name}", f"class{name}/1{name}.png"
    FlatObjects.objects[f"{root}/{below}"] = b"x"
    assert rows(folder(f"flat://{root}")) == [(below, f"flat://{root}/{below}", f"class{name}")]


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
    fake = FakeFolder(tmp_path, 150_000)
    monkeypatch.setattr(listing, "os", SimpleNamespace(scandir=fake.scandir))
    monkeypatch.setattr(listing, "local_version", lambda path: f"1000-{hash(path)}")
    return fake


def test_a_folder_of_very_many_images_is_read_as_a_stream(fake: FakeFolder) -> None:
    told = 0
    for table in images(folder(fake.root), LeftOut()):
        told += len(table)
        assert fake.asked == told  # nothing is read ahead
        assert len(table) <= BATCH == 65_536
    assert told == 150_000


def test_memory_does_not_grow_with_the_number_of_images(
    fake: FakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BATCH", 4096)
    peaks = []
    for fake.n_images in (10_000, 50_000):
        tracemalloc.start()
        assert sum(len(table) for table in images(folder(fake.root), LeftOut())) == fake.n_images
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 4096 * 1000  # so 65 MB at most for a batch of 65,536

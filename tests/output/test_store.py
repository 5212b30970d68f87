"""A file of the store is whole or absent: after errors, kills, and to readers meanwhile."""

import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from fsspec.registry import _registry

from kdsspark.errors import ConfigError
from kdsspark.output.store import Store
from tests.objects import Objects, Upload


class HostedObjects(Objects):
    """Their URLs name a host, which is no part of their paths, as Azure's do."""

    protocol = ("abfs", "abfss")
    objects: ClassVar[dict[str, bytes]] = {}
    log: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("abfs://host.net/").rstrip("/")


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setitem(_registry, "abfs", HostedObjects)
    HostedObjects.objects.clear()
    HostedObjects.log.clear()
    return Store.at("abfs://host.net/bucket/out")


@pytest.fixture(params=["local", "memory", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store.at(str(tmp_path / "out"))
    if request.param == "memory":
        return Store.at(f"memory://{tmp_path.name}/out")
    objects: Store = request.getfixturevalue("objects")
    return objects


def content(store: Store, path: str) -> bytes:
    data: bytes = store.fs.cat_file(store.path(path))
    return data


def fail_in_the_middle(store: Store, path: str, size: int = 5000) -> None:
    with suppress(RuntimeError), store.create(path) as file:
        file.write(b"x" * size)
        raise RuntimeError


def test_a_created_file_is_there_and_can_be_replaced(store: Store) -> None:
    for data in (b"first" * 1000, b"second", b""):
        with store.create("a/b/file") as file:
            file.write(data)
            assert store.files("") in ([], ["a/b/file"])
        assert content(store, "a/b/file") == data
    assert store.files("") == ["a/b/file"]


@pytest.mark.parametrize("size", [10, 5000])
def test_after_an_error_nothing_is_there(store: Store, size: int) -> None:
    fail_in_the_middle(store, "a/file", size)
    gc.collect()
    assert store.files("") == []
    assert not store.exists("a/file")
    assert store.fs.find(store.path()) == []


def test_after_an_error_the_former_content_is_there(store: Store) -> None:
    with store.create("a/file") as file:
        file.write(b"former")
    fail_in_the_middle(store, "a/file")
    gc.collect()
    assert content(store, "a/file") == b"former"
    assert store.files("") == ["a/file"]


def test_an_interrupted_write_is_an_error_too(store: Store) -> None:
    def interrupted() -> None:
        with store.create("a/file") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    gc.collect()
    assert store.fs.find(store.path()) == []


def test_json_comes_back(store: Store) -> None:
    value = {"name": "Zürich/1", "counts": [1, 2.5, None, True]}
    store.write_json("a/value.json", value)
    assert store.read_json("a/value.json") == value
    with pytest.raises(FileNotFoundError):
        store.read_json("a/other.json")


def test_json_that_cannot_be_written_leaves_the_former(store: Store) -> None:
    store.write_json("value.json", 1)
    with pytest.raises(TypeError):
        store.write_json("value.json", {"set": {1}})
    assert store.read_json("value.json") == 1


def test_files_are_those_below_one_folder_sorted(store: Store) -> None:
    for name in ("a/2", "a/1/3", "ab/1", "a.b/1", "b"):
        store.write_json(name, name)
    assert store.files("a") == ["a/1/3", "a/2"]
    assert store.files("") == ["a.b/1", "a/1/3", "a/2", "ab/1", "b"]
    assert store.files("c") == []


def test_versions_tell_one_state_of_a_file_from_another(store: Store) -> None:
    assert store.versions("a") == {}
    for name in ("a/1", "a/2", "ab/1"):
        store.write_json(name, 1)
    before = store.versions("a")
    assert list(before) == ["a/1", "a/2"]
    store.write_json("a/2", 2)  # as long as before
    after = store.versions("a")
    assert after["a/1"] == before["a/1"]
    assert after["a/2"] != before["a/2"]


def test_remove_takes_a_file_or_a_folder_or_nothing(store: Store) -> None:
    for name in ("a/1", "a/b/2", "ab/1", "c"):
        store.write_json(name, name)
    store.remove("c")
    store.remove("a")
    store.remove("nothing/here")
    assert store.files("") == ["ab/1"]
    assert not store.exists("a")


def test_folders_are_those_right_below_one(store: Store) -> None:
    assert store.folders("a") == []
    for name in ("a/c/1", "a/b/c/1", "a/d", "ab/1"):
        store.write_json(name, 1)
    assert store.folders("a") == ["b", "c"]
    assert store.folders("") == ["a", "ab"]


def test_folders_that_are_empty_go_with_those_above_them(store: Store) -> None:
    for name in ("a/b/c/1", "a/b/d/2", "a/e/3", "f/g/4"):
        store.write_json(name, 1)
    for name in ("a/b/c/1", "a/b/d/2", "f/g/4"):
        store.remove(name)
    store.remove_empty(["a/b/c", "a/b/d", "a/e", "f/g", "no/such"])
    assert store.files("") == ["a/e/3"]
    assert store.folders("") == ["a"]
    assert store.folders("a") == ["e"]


def test_what_killed_writers_left_is_listed_on_demand(store: Store) -> None:
    store.write_json("a/1", 1)
    store.fs.pipe_file(store.path("a/.tmp-0123-2"), b"half")
    assert store.files("a") == ["a/1"]
    assert store.all_files("a") == ["a/.tmp-0123-2", "a/1"]


def test_a_store_travels_to_other_processes(store: Store) -> None:
    store.write_json("a", 1)
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    if store.is_local:
        assert copy.read_json("a") == 1


# -- object stores ------------------------------------------------------------------------------


def test_an_object_is_uploaded_once_and_appears_complete(objects: Store) -> None:
    with objects.create("a/file") as file:
        file.write(b"x" * 2500)
        assert HostedObjects.objects == {}
    assert HostedObjects.log == ["begin", "complete"]
    assert {name: len(data) for name, data in HostedObjects.objects.items()} == {
        "bucket/out/a/file": 2500
    }


def test_a_failed_upload_is_discarded_and_never_completed(objects: Store) -> None:
    fail_in_the_middle(objects, "a/file")
    gc.collect()
    assert HostedObjects.log == ["begin", "discard"]
    assert HostedObjects.objects == {}


def test_a_failed_upload_that_cannot_be_discarded_is_not_completed(
    objects: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Upload) -> None:
        raise PermissionError("must not abort uploads")

    monkeypatch.setattr(Upload, "discard", refuse)
    fail_in_the_middle(objects, "a/file")  # raises nothing but what was wrong in the middle
    gc.collect()
    assert HostedObjects.log == ["begin"]
    assert HostedObjects.objects == {}


def test_an_upload_that_fails_at_the_end_is_discarded(
    objects: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Upload, **__: bool) -> bool:
        raise OSError("no route to host")

    monkeypatch.setattr(Upload, "_upload_chunk", refuse)
    with pytest.raises(OSError, match="no route"):
        objects.write_json("a", 1)
    gc.collect()
    assert HostedObjects.log == ["begin", "discard"]


# -- kills and readers --------------------------------------------------------------------------

WRITER = """
import sys, time
from kdsspark.output.store import Store
with Store.at(sys.argv[1]).create("a/file") as file:
    file.write(b"x" * 100_000)
    file.flush()
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("former", [None, b"former"])
def test_a_killed_writer_leaves_nothing_under_the_name(
    tmp_path: Path, former: bytes | None
) -> None:
    store = Store.at(str(tmp_path))
    if former is not None:
        with store.create("a/file") as file:
            file.write(former)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert store.files("") == ([] if former is None else ["a/file"])
    rest = [path.name for path in (tmp_path / "a").iterdir() if path.name != "file"]
    assert len(rest) == 1
    assert rest[0].startswith(".")  # Spark and pyarrow pass over it
    store.clean("other")
    assert (tmp_path / "a" / rest[0]).exists()
    store.clean("a")
    left = [path.name for path in (tmp_path / "a").iterdir()]
    assert left == ([] if former is None else ["file"])
    if former is not None:
        assert content(store, "a/file") == former


def test_readers_never_see_a_part_of_a_file(tmp_path: Path) -> None:
    store, path = Store.at(str(tmp_path)), tmp_path / "file"
    stop, torn, seen = threading.Event(), [], set()

    def read() -> None:
        while not stop.is_set():
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                seen.add(data[:1])
                if data != data[:1] * 20_000:
                    torn.append(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 20
    for number in itertools.count():
        if number >= 200 and (len(seen) > 5 or time.monotonic() > deadline):
            break
        with store.create("file") as file:
            for _ in range(2):
                file.write(bytes([number % 256]) * 10_000)
                file.flush()
    stop.set()
    reader.join()
    assert torn == []
    assert len(seen) > 5


def test_two_writers_of_one_name_leave_the_whole_of_one(tmp_path: Path) -> None:
    store = Store.at(str(tmp_path))
    with store.create("a/file") as first, store.create("a/file") as second:
        first.write(b"1" * 100)
        second.write(b"2" * 50)
    assert content(store, "a/file") == b"1" * 100
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


# -- URLs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["out", "./out/", "file://{}/out", "{}/out"])
def test_a_local_store_is_the_same_from_every_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.at(url.format(tmp_path))
    store.write_json("value.json", 1)
    monkeypatch.chdir("/")
    assert Store(store.url).path() == str(tmp_path / "out")
    assert store.is_local
    assert store.url == f"file://{tmp_path}/out"
    assert (tmp_path / "out" / "value.json").exists()


def test_a_local_path_may_hold_any_character(tmp_path: Path) -> None:
    name = "a::b#c?d e%20=f ä"
    store = Store.at(str(tmp_path / name))
    store.write_json("sub/value.json", 1)
    assert (tmp_path / name / "sub" / "value.json").exists()
    assert Store(store.url).files("") == ["sub/value.json"]


def test_another_url_is_kept_as_given(objects: Store) -> None:
    assert objects.url == "abfs://host.net/bucket/out"  # its path alone would not name the host
    assert objects.path("a") == "bucket/out/a"
    assert not objects.is_local
    assert Store.at("memory://some/out").url == "memory://some/out"


def test_an_unknown_file_system_is_a_configuration_error() -> None:
    with pytest.raises(
        ConfigError, match=r"^output: must be a local path or an fsspec URL, got no"
    ):
        Store.at("nosuch://bucket/out")


class Forbidding(Objects):
    """Takes S3's requests, and refuses them."""

    protocol = ("forbidding", "s3")

    def call_s3(self, *_: object, **__: object) -> None:
        raise PermissionError("Access Denied")


def test_uploads_that_may_not_be_listed_are_told_of_and_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(_registry, "forbidding", Forbidding)
    store = Store.at("forbidding://bucket/out")
    store.abort_uploads()
    assert capsys.readouterr().err == f"{store.url}: unfinished uploads stay, Access Denied\n"

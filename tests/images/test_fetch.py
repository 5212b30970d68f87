"""The bytes of an image by its uri: names with odd characters, parts of files, row groups."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from s3fs import S3FileSystem

from kdsspark.images import fetch as fetching
from kdsspark.images.fetch import fetch, storage_order, tar_member
from tests.cluster.s3 import BUCKET, serving

LIMIT = 1000
NAMES = [
    *("a b.png", "a#1.png", "#1.png", "a?b.png", "what?.png", "100%.png", "a%20b.png", "a%2Fb.png"),
    *("a::b.png", "a+b&c=d.png", "a[1]{2}.png", "é 日本.png", "it's;~$!,@().png", "a?b#c%d::e.png"),
]


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["", "file://", "local://"])
@pytest.mark.parametrize("name", NAMES)
def test_local_names_mean_what_they_say(tmp_path: Path, scheme: str, name: str) -> None:
    put(tmp_path / name / name, name.encode())
    assert fetch(f"{scheme}{tmp_path}/{name}/{name}", LIMIT) == name.encode()


class _Quiet(SimpleHTTPRequestHandler):
    """Decodes names and leaves out queries, as servers do."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.requestline.split(" ")[1])
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and its URL."""
    folder = tmp_path_factory.mktemp("served")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
def test_http_urls_with_encoded_names_are_fetched_as_written(
    served: tuple[Path, str], name: str
) -> None:
    folder, url = served
    put(folder / "d" / name, name.encode())
    assert fetch(f"{url}/d/{quote(name)}", LIMIT) == name.encode()


@pytest.mark.parametrize("name", [name for name in NAMES if "?" not in name and "%2" not in name])
def test_http_urls_need_no_encoding_where_it_is_clear(served: tuple[Path, str], name: str) -> None:
    folder, url = served
    put(folder / "e" / name, name.encode())
    assert fetch(f"{url}/e/{name}", LIMIT) == name.encode()


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/x.png?sig=a%2Fb%3D%20c+d&e=%41", "/x.png?sig=a%2Fb%3D%20c+d&e=%41"),  # signed as it is
        ("/x.png?size=2 3#4", "/x.png?size=2%203%234"),
        ("//x.png", "//x.png"),
        ("/%78.png?a[]=1|2", "/%78.png?a[]=1%7C2"),
        ("/d/../x.png", "/d/../x.png"),
    ],
)
def test_what_an_http_server_is_asked_for(
    served: tuple[Path, str], written: str, sent: str
) -> None:
    folder, url = served
    put(folder / "x.png", b"there")
    _Quiet.asked.clear()
    assert fetch(url + written, LIMIT) == b"there"
    assert _Quiet.asked == [sent]


def test_keys_of_s3_mean_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [*(f"d/{name}" for name in NAMES), "d//x.png", "/d/y.png", "d/./z.png", "d/a/../w.png"]
    with serving() as s3:
        for name, value in s3.env.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        for key in keys:
            s3.client.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
        got = [fetch(f"s3://{BUCKET}/{key}", LIMIT) for key in keys]
        S3FileSystem.clear_instance_cache()
    assert got == [key.encode() for key in keys]


@pytest.mark.parametrize("name", [*NAMES, "a//b.png"])
def test_names_on_another_file_system(name: str) -> None:
    fsspec.filesystem("memory").pipe_file(f"/fetch/{name}", name.encode())
    assert fetch(f"memory://fetch/{name}", LIMIT) == name.encode()


# -- parts of files ------------------------------------------------------------------------------


def test_a_member_of_a_tar_file_is_a_range_of_it(tmp_path: Path) -> None:
    put(tmp_path / "a#1:2:b.TAR", b"0123456789")
    uri = tar_member(f"{tmp_path}/a#1:2:b.TAR", 3, 4, "x/y.png")
    assert fetch(uri, 4) == b"3456"
    with pytest.raises(ValueError, match="must have at most 3 bytes, got more"):
        fetch(uri, 3)
    with pytest.raises(ValueError, match="must hold 8 bytes from 3 on, got 7"):
        fetch(tar_member(f"{tmp_path}/a#1:2:b.TAR", 3, 8, "x"), 100)


@pytest.mark.parametrize("size", [0, 9, 10, 11, 5000])
def test_a_file_above_the_limit_is_refused(tmp_path: Path, size: int) -> None:
    put(tmp_path / "x.png", b"x" * size)
    if size <= 10:
        assert fetch(f"{tmp_path}/x.png", 10) == b"x" * size
    else:
        with pytest.raises(ValueError, match="must have at most 10 bytes, got more"):
            fetch(f"{tmp_path}/x.png", 10)


def test_images_of_one_file_lie_in_order() -> None:
    uris = ["/a/x.png", "/a/s.tar#1536:20:a/x.tar#1", "/a/b#1/p.parquet#17", "s3://b/Q.PQ#0"]
    files, positions = storage_order(pa.chunked_array([uris]))
    assert files.to_pylist() == ["", "/a/s.tar", "/a/b#1/p.parquet", "s3://b/Q.PQ"]
    assert positions.to_pylist() == [0, 1536, 17, 0]
    assert positions.type == pa.int64()


# -- rows of Parquet files -----------------------------------------------------------------------


class Counted(MemoryFileSystem):
    """Files in memory; notes each time that one is opened to be read."""

    protocol = "counted"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    opened: ClassVar[list[str]] = []

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "rb":
            self.opened.append(path)
        return super()._open(path, mode, **options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("counted://").strip("/")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a folder whose files nobody else opens."""
    monkeypatch.setitem(_registry, "counted", Counted)
    Counted.opened.clear()
    return f"counted:/{tmp_path}"


def write(url: str, images: pa.Array | list[bytes], group: int) -> None:
    table = pa.table({"image": images, "label": [0] * len(images)})
    with fsspec.open(url, "wb") as file:
        pq.write_table(table, file, row_group_size=group)


def test_a_row_group_is_read_once_for_all_its_rows(counted: str) -> None:
    contents = [b"%d" % n for n in range(12)]
    write(f"{counted}/a.parquet", contents, group=4)
    assert fetch(f"{counted}/a.parquet#0", LIMIT) == contents[0]
    Counted.opened.clear()
    order = [0, 4, 8, 1, 5, 9, 11, 2, 3, 7, 6, 10] * 5
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: fetch(f"{counted}/a.parquet#{n}", LIMIT), order))
    assert got == [contents[n] for n in order]
    assert len(Counted.opened) == 2  # once for each of the two other row groups


def test_what_is_held_has_a_limit(counted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(f"{counted}/a.parquet", [b"x" * 100, b"y" * 100, b"z" * 500], group=1)
    monkeypatch.setattr(fetching, "HELD_BYTES", 150)  # of one short image, not of two
    opened = []
    for row in (0, 0, 1, 1, 0, 2, 2, 2, 0):
        Counted.opened.clear()
        assert len(fetch(f"{counted}/a.parquet#{row}", LIMIT)) == (500 if row == 2 else 100)
        opened.append(len(Counted.opened))
    assert opened == [2, 0, 1, 0, 1, 1, 0, 0, 1]  # the first time, the footer is read, too


def test_a_local_file_that_changed_is_read_again(tmp_path: Path) -> None:
    for contents in ([b"a", b"b"], [b"cc", b"dd"]):
        write(f"{tmp_path}/a.parquet", contents, group=2)
        assert fetch(f"{tmp_path}/a.parquet#1", LIMIT) == contents[1]


def test_a_failed_read_is_tried_again(tmp_path: Path) -> None:
    uri = f"{tmp_path}/a.parquet#0"
    with pytest.raises(FileNotFoundError):
        fetch(uri, LIMIT)
    put(tmp_path / "a.parquet", b"not Parquet")
    with pytest.raises(pa.ArrowInvalid):
        fetch(uri, LIMIT)
    write(f"{tmp_path}/a.parquet", [b"there"], group=1)
    assert fetch(uri, LIMIT) == b"there"


def test_a_row_group_whose_read_failed_is_not_held(
    counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f"{counted}/a.parquet", [b"a", b"b"], group=1)
    assert fetch(f"{counted}/a.parquet#0", LIMIT) == b"a"

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(Counted, "_open", refuse)
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                fetch(f"{counted}/a.parquet#1", LIMIT)
    assert fetch(f"{counted}/a.parquet#1", LIMIT) == b"b"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (5, "Parquet file must have a row 5, got 3 rows"),
        (1, "row 1 must hold the bytes of an image, got null"),
        (2, "row 2 must hold the bytes of an image, got null"),
    ],
)
def test_rows_without_an_image(tmp_path: Path, row: int, words: str) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    values = [{"bytes": b"x", "path": "x"}, {"bytes": None, "path": "y.jpg"}, None]
    write(f"{tmp_path}/a.parquet", pa.array(values, kind), group=2)
    assert fetch(f"{tmp_path}/a.parquet#0", 1) == b"x"
    with pytest.raises(ValueError, match=words):
        fetch(f"{tmp_path}/a.parquet#{row}", 1)


def test_an_image_above_the_limit_is_refused(tmp_path: Path) -> None:
    write(f"{tmp_path}/a.parquet", [b"x" * 11], group=1)
    with pytest.raises(ValueError, match="must have at most 10 bytes, got more"):
        fetch(f"{tmp_path}/a.parquet#0", 10)

"""Images in threads: in order, ahead, and none of them holds up the others for ever."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from kdsspark.errors import ImageError
from kdsspark.images import decoding, loading
from kdsspark.images.clock import Clock
from kdsspark.images.decoding import read
from kdsspark.images.loading import Decode, Loader, Read


@pytest.fixture
def uris(tmp_path: Path) -> list[str]:
    """Twelve images, of 40 + i pixels a side."""
    paths = [str(tmp_path / f"{i:02d}.png") for i in range(12)]
    for i, path in enumerate(paths):
        Image.new("RGB", (40 + i, 40 + i), (i, 0, 0)).save(path)
    return paths


decode: Decode = partial(decoding.decode, short_side=32)


def loader(
    decode: Decode | None = decode,
    threads: int = 2,
    ahead: int = 4,
    seconds: float = 60,
    read: Read = read,
) -> Loader:
    return Loader(read, decode, threads, ahead, seconds, Clock())


@pytest.mark.parametrize(("threads", "ahead"), [(1, 0), (2, 4), (5, 1), (3, 100)])
def test_images_come_in_order_whatever_the_threads(
    uris: list[str], threads: int, ahead: int
) -> None:
    found = list(loader(threads=threads, ahead=ahead)(uris))
    assert [image.result[0, 0, 0] for image in found] == list(range(12))  # type: ignore[index]
    for uri, image in zip(uris, found, strict=True):
        data = Path(uri).read_bytes()
        assert image.content == hashlib.blake2b(data, digest_size=16).hexdigest()


def test_only_the_content_where_no_pixels_are_wanted(uris: list[str]) -> None:
    uris[1] += ".absent"
    first, absent, *_ = loader(None)(uris)
    assert (len(first.content or ""), first.result) == (32, None)
    assert absent.content is None
    assert isinstance(absent.result, ImageError)


def test_failures_say_how_far_they_came(uris: list[str]) -> None:
    Path(uris[0]).write_bytes(b"no image")
    uris[1] += ".absent"
    broken, absent = loader()(uris[:2])
    assert isinstance(broken.result, ImageError)
    assert isinstance(absent.result, ImageError)
    assert (broken.result.stage, broken.content) == ("decode", loading.content_hash(b"no image"))
    assert (absent.result.error, absent.content) == ("FileNotFoundError", None)


def test_what_is_no_image_error_is_raised(uris: list[str]) -> None:
    def defect(_: bytes) -> loading.Pixels:
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(loader(defect)(uris))


def test_no_more_than_asked_are_read_ahead(uris: list[str]) -> None:
    asked: list[str] = []

    def noted(uri: str) -> bytes:
        asked.append(uri)
        return read(uri)

    found = loader(threads=2, ahead=3, read=noted)(uris)
    next(found)
    _eventually(lambda: len(asked) == 4)
    time.sleep(0.1)
    assert sorted(asked) == uris[:4]
    found.close()


def test_images_are_decoded_while_the_caller_computes_and_all_seconds_are_counted(
    uris: list[str],
) -> None:
    decoded: list[int] = []

    def slow(uri: str) -> bytes:
        time.sleep(0.03)
        return read(uri)

    def noted(data: bytes) -> loading.Pixels:
        decoded.append(len(data))
        return decode(data)

    clock = Clock()
    found = Loader(slow, noted, 2, 4, 60, clock)(uris)
    next(found)
    _eventually(lambda: len(decoded) == 5)  # the caller takes no image meanwhile
    assert len(list(found)) == 11
    assert clock.seconds["read"] >= 12 * 0.03
    assert clock.seconds["decode"] > 0


def test_what_hangs_is_given_up_and_does_not_hold_up_the_rest(
    uris: list[str], tmp_path: Path
) -> None:
    pipe = str(tmp_path / "pipe.png")  # opening it waits for a writer
    os.mkfifo(pipe)
    wanted = [pipe, uris[0], pipe, pipe, pipe, *uris[1:]]
    start = time.monotonic()
    found = list(loader(seconds=0.5)(wanted))
    assert time.monotonic() - start < 30
    failed = [n for n, image in enumerate(found) if isinstance(image.result, ImageError)]
    assert failed == [0, 2, 3, 4]
    for n in failed:
        error = found[n].result
        assert isinstance(error, ImageError)
        assert (error.stage, error.error) == ("read", "TimeoutError")
        assert error.message == "must take at most 0.5 s (embed.image_seconds), got more"
    with Path(pipe).open("wb"):  # lets them go
        _eventually(lambda: not _threads())


def test_decoding_has_its_own_limit(uris: list[str]) -> None:
    release = threading.Event()

    def slow(data: bytes) -> loading.Pixels:
        if data == Path(uris[3]).read_bytes():
            release.wait(20)
        return decode(data)

    found = list(loader(slow, seconds=0.4)(uris))
    release.set()
    errors = {n: im.result for n, im in enumerate(found) if isinstance(im.result, ImageError)}
    assert [(n, e.stage, e.error) for n, e in errors.items()] == [(3, "decode", "TimeoutError")]
    assert found[3].content == loading.content_hash(Path(uris[3]).read_bytes())


def test_threads_end_with_the_images_and_when_nobody_wants_more(uris: list[str]) -> None:
    list(loader(threads=3)(uris))
    _eventually(lambda: not _threads())
    unfinished = loader(threads=3)(uris)
    next(unfinished)
    unfinished.close()
    _eventually(lambda: not _threads())


def test_transient_errors_are_tried_again(uris: list[str]) -> None:
    tries: dict[str, int] = {}

    def flaky(uri: str) -> bytes:
        tries[uri] = tries.get(uri, 0) + 1
        if uri == uris[2] and tries[uri] < 2:
            raise ImageError("read", "OSError", "slow down") from OSError(errno.EBUSY, "slow down")
        if uri == uris[4]:
            raise ImageError("read", "FileNotFoundError", "none") from FileNotFoundError("none")
        return read(uri)

    found = list(loader(read=flaky)(uris))
    assert [n for n, image in enumerate(found) if isinstance(image.result, ImageError)] == [4]
    assert tries == {uri: 2 if uri == uris[2] else 1 for uri in uris}


@pytest.fixture(autouse=True)
def _others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that other tests gave up and that still hang are none of ours."""
    monkeypatch.setattr(sys.modules[__name__], "_EARLIER", set(_threads()))


_EARLIER: set[threading.Thread] = set()


def _threads() -> list[threading.Thread]:
    found = [thread for thread in threading.enumerate() if thread.name == "loader"]
    return [thread for thread in found if thread not in _EARLIER]


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)

"""Reads and decodes images in threads, ahead of the caller that takes them (executor)."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from kdsspark.errors import ImageError
from kdsspark.images.clock import Clock
from kdsspark.images.retries import patiently

_POLL_SECONDS: Final = 0.2

Pixels = npt.NDArray[np.uint8]
"""RGB [height, width, channels=3]."""

Read = Callable[[str], bytes]
"""The bytes that a uri names; raises :class:`ImageError`."""

Decode = Callable[[bytes], Any]
"""The pixels of an encoded image, a picture, or numbers; raises :class:`ImageError`."""


@dataclass(frozen=True)
class Loaded:
    """What became of one image."""

    content: str | None  # :func:`content_hash` of its bytes; None where they could not be read
    result: Pixels | Image.Image | ImageError | None  # None where only the content is wanted


def content_hash(data: bytes) -> str:
    """128 bits of BLAKE2b, in hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(eq=False)
class _Image:
    """One image on its way through a thread."""

    uri: str
    loaded: Future[Loaded] = field(default_factory=Future)
    content: str | None = None
    stage: str = "read"
    since: float = math.inf  # when the stage began; infinite before a thread takes the image
    given_up: bool = False  # too slow: the caller went on, and another thread was started

    def begin(self, stage: str) -> None:
        self.stage, self.since = stage, time.monotonic()


@dataclass(frozen=True)
class Loader:
    """``for loaded in loader(uris)``: yields in order, with ``ahead`` images in work or waiting.

    Transient errors of reading are retried (:mod:`.retries`). Reading, with all its tries, may take
    ``seconds``, and so may decoding. Python cannot stop a thread: one that takes longer is left
    behind, a new one replaces it, and its image fails with ``TimeoutError``. This does not help
    against code that never lets other threads run; no reader or decoder here is such code.
    """

    read: Read
    decode: Decode | None  # None: only the content is wanted
    threads: int
    ahead: int
    seconds: float
    clock: Clock

    def __call__(self, uris: Iterable[str]) -> Generator[Loaded, None, None]:
        """Every image. An :class:`ImageError` is its result; any other error is raised."""
        queue: SimpleQueue[_Image | None] = SimpleQueue()
        under_way: deque[_Image] = deque()
        for _ in range(self.threads):
            self._start(queue)
        try:
            for uri in uris:
                under_way.append(_Image(uri))
                queue.put(under_way[-1])
                if len(under_way) > self.ahead:
                    yield self._await(under_way.popleft(), queue)
            while under_way:
                yield self._await(under_way.popleft(), queue)
        finally:
            _end(queue)

    def _start(self, queue: SimpleQueue[_Image | None]) -> None:
        # A daemon: a thread that hangs must not keep the process alive.
        threading.Thread(target=self._work, args=(queue,), daemon=True, name="loader").start()

    def _work(self, queue: SimpleQueue[_Image | None]) -> None:
        while (image := queue.get()) is not None:
            try:
                image.loaded.set_result(self._load(image))
            except BaseException as error:
                image.loaded.set_exception(error)
            if image.given_up:
                return
        queue.put(None)  # for the next thread

    def _load(self, image: _Image) -> Loaded:
        try:
            image.begin("read")
            with self.clock.time("read"):
                data = patiently(partial(self.read, image.uri))
                image.content = content_hash(data)
            if self.decode is None:
                return Loaded(image.content, None)
            image.begin("decode")
            with self.clock.time("decode"):
                return Loaded(image.content, self.decode(data))
        except ImageError as error:
            return Loaded(image.content, error)

    def _await(self, image: _Image, queue: SimpleQueue[_Image | None]) -> Loaded:
        while not wait([image.loaded], _POLL_SECONDS).done:
            if time.monotonic() - image.since > self.seconds:
                image.given_up = True
                self._start(queue)
                message = f"must take at most {self.seconds:g} s (embed.image_seconds), got more"
                return Loaded(image.content, ImageError(image.stage, "TimeoutError", message))
        return image.loaded.result()


def _end(queue: SimpleQueue[_Image | None]) -> None:
    """Let each thread end after the image it is working on."""
    try:
        while True:
            queue.get_nowait()
    except Empty:
        queue.put(None)

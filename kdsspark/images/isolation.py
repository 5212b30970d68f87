"""Decoding in processes of their own: a decoder that crashes takes down only its own process."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from kdsspark.errors import ImageError
from kdsspark.images import decoding as images
from kdsspark.images.loading import Decode, Pixels

# Not forked: the process that asks runs threads, and holds a network.
_context = multiprocessing.get_context("spawn")


@contextmanager
def decoder(short_side: int) -> Iterator[Decode]:
    """``images.decode``, each thread that calls it with a process of its own, until the block ends.

    A process that ends on an image, by a crash or for want of memory, fails that image with
    ``ChildProcessError``, and the next image gets a new one.
    """
    children = _Children(short_side)
    try:
        yield children.decode
    finally:
        children.kill()


class _Children:
    def __init__(self, short_side: int) -> None:
        self._short_side = short_side
        self._own = threading.local()
        self._started: list[multiprocessing.process.BaseProcess] = []

    def decode(self, data: bytes) -> Pixels:
        connection = getattr(self._own, "connection", None) or self._start()
        try:
            connection.send(data)
            found: Pixels | ImageError = connection.recv()
        except (EOFError, OSError) as error:
            del self._own.connection
            message = "decoding it ended the process: a crash, or not enough memory"
            raise ImageError("decode", "ChildProcessError", message) from error
        if isinstance(found, ImageError):
            raise found
        return found

    def kill(self) -> None:
        for process in self._started:
            process.kill()
            process.join()

    def _start(self) -> Connection:
        ours, theirs = _context.Pipe()
        process = _context.Process(target=_serve, args=(theirs, self._short_side), daemon=True)
        process.start()
        theirs.close()
        self._started.append(process)
        self._own.connection = ours
        return ours


def _serve(connection: Connection, short_side: int) -> None:
    while True:
        try:
            data = connection.recv()
        except EOFError:
            return
        try:
            found: Pixels | ImageError = images.decode(data, short_side)
        except ImageError as error:
            found = error
        connection.send(found)

"""Decodes in processes of their own, so that a decoder that crashes fails one image (executor)."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from kdsspark.errors import ImageError
from kdsspark.images.loading import Decode, Pixels

# Not forked: the parent runs threads and holds a network.
_context = multiprocessing.get_context("spawn")


@contextmanager
def decoder(decode: Decode) -> Iterator[Decode]:
    """``decode``, which can be pickled, run in one process for each thread that calls it.

    If a process ends on an image, by a crash or because memory runs out, the image fails with
    ``ChildProcessError``, and the next image gets a new process. All end with the block.
    """
    children = _Children(decode)
    try:
        yield children.decode
    finally:
        children.kill()


class _Children:
    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._own = threading.local()
        self._started: list[multiprocessing.process.BaseProcess] = []

    def decode(self, data: bytes) -> Pixels:
        connection = getattr(self._own, "connection", None) or self._start()
        try:
            connection.send(data)
            result: Pixels | ImageError = connection.recv()
        except (EOFError, OSError) as error:
            del self._own.connection
            message = "decoding it ended the process: a crash, or not enough memory"
            raise ImageError("decode", "ChildProcessError", message) from error
        if isinstance(result, ImageError):
            raise result
        return result

    def kill(self) -> None:
        for process in self._started:
            process.kill()
            process.join()

    def _start(self) -> Connection:
        ours, theirs = _context.Pipe()
        process = _context.Process(target=_serve, args=(theirs, self._decode), daemon=True)
        process.start()
        theirs.close()
        self._started.append(process)
        self._own.connection = ours
        return ours


def _serve(connection: Connection, decode: Decode) -> None:
    """Decode what comes until the parent closes the connection or is gone."""
    while True:
        try:
            data = connection.recv()
        except EOFError:
            return
        try:
            result: Pixels | ImageError = decode(data)
        except ImageError as error:
            result = error
        connection.send(result)

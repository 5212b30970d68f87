"""CSV files as text: another encoding, or a cut inside quotes, is refused in one line (driver)."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import fsspec
import pyarrow as pa

from kdsspark.errors import DatasetError

_CHUNK: Final = 1 << 20  # bytes
_OTHER_ENCODINGS: Final = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def refuse_damaged(where: str, fs: fsspec.AbstractFileSystem, path: str) -> None:
    """Raise :class:`DatasetError` for UTF-16 and UTF-32, and for a quoted value without an end.

    Arrow takes all lines that follow an open quote for one value, and does not complain.
    """
    with _opened(fs, path) as file:
        quotes = 0
        for number, chunk in enumerate(iter(lambda: file.read(_CHUNK), b"")):
            if number == 0:
                _refuse_other_encodings(where, chunk[:4])
            quotes += chunk.count(b'"')
    line = _line_of_open_quote(fs, path) if quotes % 2 else None  # a value has two, or four, ...
    if line is not None:
        got = f"an open quote in the row that begins on line {line}"
        raise DatasetError(f"{where} must end every quoted value, got {got}")


def _refuse_other_encodings(where: str, start: bytes) -> None:
    for mark, encoding in _OTHER_ENCODINGS.items():
        if start.startswith(mark):
            raise DatasetError(f"{where} must be UTF-8, got {encoding}")
    if b"\0" in start:
        raise DatasetError(f"{where} must be UTF-8, got {start!r} at the start")


def _line_of_open_quote(fs: fsspec.AbstractFileSystem, path: str) -> int | None:
    """Where the last value begins, if the file ends inside its quotes; lines count from 1."""
    line = 1
    with _opened(fs, path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
        rows = csv.reader(text, strict=True)
        try:
            for _ in rows:
                line = rows.line_num + 1
        except csv.Error:
            return line
    return None


@contextmanager
def utf8(where: str, fs: fsspec.AbstractFileSystem, path: str) -> Iterator[None]:
    """Name the line that Arrow cannot read in the block because it is not UTF-8."""
    try:
        yield
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        line = _line_of_another_encoding(fs, path)
        if line is None or "UTF" not in str(error).upper():
            raise
        raise DatasetError(f"{where} must be UTF-8, got line {line}") from None


def _line_of_another_encoding(fs: fsspec.AbstractFileSystem, path: str) -> str | None:
    """Number from 1, and bytes, of the first line that is not UTF-8."""
    with _opened(fs, path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"{number} with {line[error.start : error.start + 20].rstrip()!r}"
    return None


def _opened(fs: fsspec.AbstractFileSystem, path: str) -> fsspec.core.OpenFile:
    return fs.open(path, "rb", compression="infer")

"""Ready-made embeddings as ``.npy`` arrays beside Parquet metadata, as CLIP tools write them.

Row i of an array belongs to row i of the metadata file of the same number:

    img_emb/img_emb_0.npy    text_emb/text_emb_0.npy    metadata/metadata_0.parquet
    img_emb/img_emb_1.npy    text_emb/text_emb_1.npy    metadata/metadata_1.parquet

or all of them in one folder. The prefix of a layer is the path of its arrays without their numbers
and suffix. Arrays are read a few rows at a time, and never unpickled.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.lib import format as npy

from kdsspark.config.types import check_layer_names
from kdsspark.errors import DatasetError

SUFFIX: Final = ".npy"
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d*)\.\w+", re.DOTALL)
_HEADERS: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_FLOATS: Final = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Array:
    """An open array of floating point numbers, [rows, width]; ``where`` names it in errors."""

    file: IO[bytes]
    where: str
    rows: int
    width: int
    dtype: np.dtype[Any]  # as stored, in either byte order
    start: int  # of the values, in bytes

    @property
    def value_type(self) -> pa.DataType:
        """Element type in ``embeddings``: float32, which holds float16 exactly, or float64."""
        return pa.float64() if self.dtype.itemsize == 8 else pa.float32()

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows from ``start`` to before ``stop`` as float32 or float64, [rows, width].

        Raises :class:`DatasetError`.
        """
        row = self.width * self.dtype.itemsize
        with _readable(self.where):
            self.file.seek(self.start + start * row)
            data = self.file.read((stop - start) * row)
            values = np.frombuffer(data, self.dtype).reshape(stop - start, self.width)
        return values.astype(self.value_type.to_pandas_dtype(), copy=False)


@contextmanager
def opened(fs: fsspec.AbstractFileSystem, path: str, where: str) -> Iterator[Array]:
    """Open an array; raises :class:`DatasetError` unless it is whole, [rows, width] and float."""
    with _readable(where):
        file = fs.open(path, "rb")
    with file:
        with _readable(where):
            shape, fortran_order, dtype = _header(file)
            start, size = file.tell(), file.seek(0, 2)
        if dtype.name not in _FLOATS:
            raise DatasetError(f"{where} must hold {', '.join(_FLOATS)}, got {dtype.name}")
        if len(shape) != 2 or min(shape) < 1:
            raise DatasetError(f"{where} must have the shape [rows, width], got {list(shape)}")
        if fortran_order:
            raise DatasetError(f"{where} must be stored row by row (C order), got Fortran order")
        expected = start + shape[0] * shape[1] * dtype.itemsize
        if size != expected:
            raise DatasetError(
                f"{where} must have {expected} bytes for {shape[0]} x {shape[1]} {dtype.name}, "
                f"got {size}"
            )
        yield Array(file, where, *shape, dtype, start)


def refuse_other_rows(array: Array, rows: int, metadata: str) -> None:
    """Raise :class:`DatasetError` unless an array has as many rows as its metadata."""
    if array.rows != rows:
        raise DatasetError(
            f"{array.where} must have {rows} rows as {metadata} has, got {array.rows}"
        )


def refuse_other_values(array: Array, width: int, kind: pa.DataType) -> None:
    """Raise :class:`DatasetError` unless an array has the width and type of its layer."""
    if array.width != width:
        raise DatasetError(f"{array.where} must have {width} values a row, got {array.width}")
    if array.value_type != kind:
        expected = "float64" if kind == pa.float64() else "float16 or float32"
        raise DatasetError(f"{array.where} must hold {expected}, got {array.dtype.name}")


def layer_prefixes(where: str, arrays: Sequence[str], metadata: Sequence[str]) -> dict[str, str]:
    """Layer -> prefix of its arrays, in the prefixes' order.

    If there is one table and its name has no number, numbers are part of the arrays' names. Raises
    :class:`DatasetError` for an array without metadata and for metadata without an array.
    """
    by_number = _by_number(where, metadata)
    numbered = any(by_number)
    numbers: dict[str, set[str]] = {}
    for path in sorted(arrays):
        prefix, number = _split(path) if numbered else (path.removesuffix(SUFFIX), "")
        if number not in by_number:
            which = f"number {number}" if number else "no number"
            raise DatasetError(f"{where}: {path} must have Parquet metadata of {which}, got none")
        numbers.setdefault(prefix, set()).add(number)
    for number, path in by_number.items():
        for prefix in numbers:
            if number not in numbers[prefix]:
                missing = f"{prefix}{number}{SUFFIX}"
                raise DatasetError(f"{where}: {path} must have the array {missing}, got none")
    return _named(where, sorted(numbers), metadata)


def array_path(prefix: str, metadata: str) -> str:
    """The array that belongs to a metadata file."""
    return f"{prefix}{_split(metadata)[1]}{SUFFIX}"


def _by_number(where: str, metadata: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in metadata:
        other = found.setdefault(_split(path)[1], path)
        if other != path:
            raise DatasetError(
                f"{where}: metadata must have different numbers, got {other}, {path}"
            )
    return found


def _split(path: str) -> tuple[str, str]:
    """``img_emb/img_emb_07.npy`` -> ``img_emb/img_emb_`` and ``07``, which may be empty."""
    match = _NUMBERED.fullmatch(path)
    assert match, path  # every file here was chosen by its suffix
    return match["prefix"], match["number"]


def _named(where: str, prefixes: Sequence[str], metadata: Sequence[str]) -> dict[str, str]:
    names = [_layer(prefix, (*prefixes, *metadata)) for prefix in prefixes]
    try:
        check_layer_names(names)
    except ValueError as error:
        raise DatasetError(f"{where}: layers of .npy files: {error}") from None
    return dict(zip(names, prefixes, strict=True))


def _layer(prefix: str, paths: Sequence[str]) -> str:
    """The name of the folder, if it holds the arrays of this layer alone; else of the arrays."""
    folder, name = posixpath.split(prefix)
    alone = sum(path.startswith(f"{folder}/") for path in paths) == 1
    return posixpath.basename(folder) if alone else name.rstrip("._-") or posixpath.basename(folder)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype. A damaged header raises errors of many kinds."""
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"format version must be 1.0 or 2.0, got {'.'.join(map(str, version))}")
    return _HEADERS[version](file)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the header is parsed as Python, and fails as Python does
        raise DatasetError(
            f"{where} is not a readable .npy file: {' '.join(str(error).split())}"
        ) from error

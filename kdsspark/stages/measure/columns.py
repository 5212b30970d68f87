"""Scratch files in column order, for tasks that read a few units of many images.

``embeddings`` stores one list per image and layer, and Parquet reads such a list only as a whole.
If a layer is measured in many slices, :mod:`.rechunk` first writes these files, so that each slice
reads its own units and nothing else. A file holds a range of the images. It consists of, without
padding:

    keys    uint64 [images, 2]               the two halves of each image id
    labels  int32 [images]                   class_id, or the number of a set of labels
    then, for every layer in order,
    codes   uint8 or uint16 [units, images]  the bin of every value
    values  float32 or float64 [units, images], only if exact distances are wanted

``measure`` writes, reads and removes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.output.filesystems import read_range
from kdsspark.output.store import Store

_BYTES_OF_AN_ID: Final = 20

Block = tuple[npt.NDArray[Any], npt.NDArray[Any] | None]
"""Codes [units, images], and values [units, images] if exact distances are wanted."""


@dataclass(frozen=True)
class ColumnsLayout:
    """The layers of a file, in order, and the types of their codes and values."""

    widths: tuple[int, ...]  # units of each layer
    code: str  # dtype of all codes
    values: tuple[str | None, ...]  # dtype of the values of each layer; None if it has none

    @property
    def bytes_of_an_image(self) -> int:
        """Bytes that one image takes in a file."""
        return _BYTES_OF_AN_ID + self._bytes_before(len(self.widths))

    def _bytes_before(self, depth: int) -> int:
        return sum(self.widths[d] * self.bytes_of_a_unit(d) for d in range(depth))

    def bytes_of_a_unit(self, depth: int) -> int:
        """Bytes that one image takes in one unit of a layer."""
        return self._code_bytes + _size(self.values[depth])

    @property
    def _code_bytes(self) -> int:
        return np.dtype(self.code).itemsize

    def codes_at(self, depth: int, unit: int, images: int) -> int:
        """The byte at which the codes of a unit begin, in a file of ``images``."""
        before = _BYTES_OF_AN_ID + self._bytes_before(depth)
        return images * (before + unit * self._code_bytes)

    def values_at(self, depth: int, unit: int, images: int) -> int:
        """The byte at which the values of a unit begin, in a file of ``images``."""
        codes = self.codes_at(depth, self.widths[depth], images)
        return codes + images * unit * _size(self.values[depth])


def _size(dtype: str | None) -> int:
    return np.dtype(dtype).itemsize if dtype else 0


def write(
    store: Store,
    path: str,
    keys: npt.NDArray[np.uint64],
    labels: npt.NDArray[np.int32],
    layers: Iterable[Block],
) -> None:
    """Write one file; ``layers`` are in the order of its layout (executor)."""
    with store.create(path) as file:
        for array in (keys, labels, *(part for block in layers for part in block)):
            if array is not None:
                file.write(np.ascontiguousarray(array).data.cast("B"))


def read_ids(
    store: Store, path: str, images: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """Read the keys [images, 2] and labels [images] of a file (executor)."""
    data = _read(store, path, 0, _BYTES_OF_AN_ID * images)
    keys = np.frombuffer(data, np.uint64, 2 * images).reshape(images, 2)
    return keys, np.frombuffer(data, np.int32, images, 16 * images)


def read_units(
    store: Store,
    path: str,
    images: int,
    layout: ColumnsLayout,
    depth: int,
    units: tuple[int, int],
    into: Sequence[npt.NDArray[Any] | None],
) -> None:
    """Read the ``units`` (first, stop) of the layer ``depth`` into arrays (executor).

    ``into`` is codes and values, [units, images] each, or None for what is not wanted.
    """
    starts = (layout.codes_at, layout.values_at)
    for array, start in zip(into, starts, strict=True):
        if array is not None:
            size = (units[1] - units[0]) * images * array.itemsize
            data = _read(store, path, start(depth, units[0], images), size)
            array[:] = np.frombuffer(data, array.dtype).reshape(array.shape)


def _read(store: Store, path: str, start: int, size: int) -> bytes:
    return read_range(store.fs, store.path(path), start, start + size)

"""Features by column: the codes and values of some images turned round, for whom reads few units.

``embeddings`` hold images by row, and a row's list can only be read whole. Where many slices of
a layer must be measured, the rows are turned to columns once (:mod:`.rechunk`), so
that a slice then reads its own units and nothing else. One file holds, one after the other and
without padding:

    keys    uint64 [images, 2]     the two halves of the ids
    labels  int32  [images]        class_id
    and for every layer, in order
    codes   uint8 or uint16 [units, images]
    values  float32 or float64 [units, images], if exact distances are asked for

It is scratch: written and read by one stage, and removed at its end.
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
"""codes [units, images] and values [units, images]."""


@dataclass(frozen=True)
class ColumnsLayout:
    """What a file holds: layers in order, with the bytes that a code and a value take."""

    widths: tuple[int, ...]  # units of each layer
    code: str  # dtype of all codes
    values: tuple[str | None, ...]  # dtype of each layer's values; None: not kept

    @property
    def bytes_of_an_image(self) -> int:
        """What one image adds to a file."""
        return _BYTES_OF_AN_ID + self._bytes_before(len(self.widths))

    def _bytes_before(self, depth: int) -> int:
        return sum(self.widths[d] * self.bytes_of_a_unit(d) for d in range(depth))

    def bytes_of_a_unit(self, depth: int) -> int:
        """What one image adds to one unit of a layer."""
        return self._code_bytes + _size(self.values[depth])

    @property
    def _code_bytes(self) -> int:
        return np.dtype(self.code).itemsize

    def codes_at(self, depth: int, unit: int, images: int) -> int:
        """Where the codes of a unit begin, in bytes, in a file of ``images``."""
        before = _BYTES_OF_AN_ID + self._bytes_before(depth)
        return images * (before + unit * self._code_bytes)

    def values_at(self, depth: int, unit: int, images: int) -> int:
        """Where the values of a unit begin."""
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
    """Write one file; the layers in the order of its layout (executor)."""
    with store.create(path) as file:
        for array in (keys, labels, *(part for block in layers for part in block)):
            if array is not None:
                file.write(np.ascontiguousarray(array).data.cast("B"))


def read_ids(
    store: Store, path: str, images: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """keys [images, 2] and labels [images] of a file (executor)."""
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
    """Fill ``into``, codes and values [units, images], with some units of a layer (executor)."""
    starts = (layout.codes_at, layout.values_at)
    for array, start in zip(into, starts, strict=True):
        if array is not None:
            size = (units[1] - units[0]) * images * array.itemsize
            data = _read(store, path, start(depth, units[0], images), size)
            array[:] = np.frombuffer(data, array.dtype).reshape(array.shape)


def _read(store: Store, path: str, start: int, size: int) -> bytes:
    return read_range(store.fs, store.path(path), start, start + size)

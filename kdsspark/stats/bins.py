"""The domain of a feature and its bins (paper section 4).

The rule is that of ``numpy.histogram(x.astype(float64), bins, range=(lo, hi))``. With the edges
``e = numpy.linspace(lo, hi, bins + 1)``, a value belongs to bin ``b`` if

    e[b] <= x < e[b + 1]    for b < bins - 1,
    e[b] <= x <= e[b + 1]   for b = bins - 1.

So bins are closed on the left and open on the right, and the last is closed on both sides. A
value outside [lo, hi] belongs to no bin, and neither do NaN and the infinities.

numpy does not define, or refuses, three kinds of range. They are handled like this:

- If ``lo == hi``, every value equal to them is in bin 0.
- If edges coincide, because the range is only a few units in the last place wide, the bin follows
  numpy's arithmetic: it is the bin of ``(x - lo) / (hi - lo) * bins``, moved by one towards the
  inequality above. A larger value never gets a smaller bin.
- If ``hi - lo`` overflows, the rule is applied to ``x / 2`` with ``lo / 2`` and ``hi / 2``.

Values come row by row, [images, units], as Parquet holds them. Results are transposed,
[units, images], because the loops that read them go over one unit at a time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdsspark.stats.compiled import compiled, compiled_helper, memory_of
from kdsspark.stats.ranges import Ranges

Codes = NDArray[np.uint8] | NDArray[np.uint16]

MAX_BINS: Final = 65535
"""The largest number of bins whose codes, with the one for "no bin", fit in 16 bits."""

# Values are transposed through a tile that fits in the second-level cache. Its rows are long,
# because memory is fastest to read in order. They do not start a power of two apart, because the
# elements of a column, read next, would then compete for the same lines of the cache.
_TILE_IMAGES: Final = 64
_TILE_UNITS: Final = 1024
_TILE_WIDTH: Final = _TILE_UNITS + 16


def feature_ranges(values: NDArray[Any]) -> Ranges:
    """The range of every feature over the given images.

    ``values`` is [images, units], float32 or float64. A zero limit is +0.0, whatever the sign of
    the value. Raises ValueError for another shape, TypeError for another dtype.
    """
    values = as_values(values)
    images, units = values.shape
    lo = np.full(units, np.inf, values.dtype)
    hi = np.full(units, -np.inf, values.dtype)
    n = np.zeros(units, np.int32)
    _find_ranges(*memory_of(values), images, lo, hi, n)
    lo[n == 0] = hi[n == 0] = np.nan
    counts = n.astype(np.int64)
    # Adding zero turns -0.0 into 0.0, so that the bits do not depend on the order of images.
    return Ranges(lo.astype(float) + 0.0, hi.astype(float) + 0.0, counts, images - counts)


def codes_dtype(bins: int) -> type[np.uint8] | type[np.uint16]:
    """The smallest type that holds the codes of ``bins`` bins and the code for "no bin".

    Raises ValueError unless ``bins`` is in [2, 65535].
    """
    if not 2 <= bins <= MAX_BINS:
        raise ValueError(f"bins must be from 2 to {MAX_BINS}, got {bins}")
    return np.uint8 if bins <= 255 else np.uint16


def bin_codes(
    values: NDArray[Any],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
    bins: int,
    codes: Codes,
) -> None:
    """Write the bin of every value into ``codes``; the code is ``bins`` if it is in no bin.

    ``values`` is [images, units], float32 or float64. ``lo`` and ``hi`` are [units], NaN for a
    unit without finite values. ``codes`` is [units, images] of the type that :func:`codes_dtype`
    gives; it may be a range of columns of a larger array. Raises ValueError for shapes that do
    not fit, for ``lo > hi``, for an infinite limit and for ``bins`` outside [2, 65535]; TypeError
    for another dtype.
    """
    values = as_values(values)
    _check_output("codes", codes, values.shape, np.dtype(codes_dtype(bins)))
    lo, hi = np.ascontiguousarray(lo, np.float64), np.ascontiguousarray(hi, np.float64)
    if lo.shape != values.shape[1:] or hi.shape != values.shape[1:]:
        raise ValueError(f"lo and hi must be {values.shape[1:]}, got {lo.shape} and {hi.shape}")
    if np.isinf(lo).any() or np.isinf(hi).any() or (lo > hi).any():
        raise ValueError("lo must be at most hi and both finite or NaN, got others")
    with np.errstate(over="ignore"):
        width = hi - lo
    plain = _is_plain(width, np.fmax(np.abs(lo), np.abs(hi)))
    step = np.divide(width, bins, where=plain, out=np.zeros_like(lo))
    scale = np.divide(bins, width, where=plain, out=np.zeros_like(lo))
    _fill_codes(*memory_of(values), lo, hi, step, scale, bins, *memory_of(codes), len(values))
    for unit in np.flatnonzero((lo < hi) & ~plain):
        codes[unit] = _codes_like_numpy(values[:, unit], lo[unit], hi[unit], bins)


def fill_columns(values: NDArray[Any], columns: NDArray[Any]) -> None:
    """Write ``values`` [images, units], float32 or float64, transposed into ``columns``.

    ``columns`` is [units, images] of the same type; it may be a range of columns of a larger
    array. Raises ValueError for shapes that do not fit, TypeError for another dtype.
    """
    values = as_values(values)
    _check_output("columns", columns, values.shape, values.dtype)
    _transpose(*memory_of(values), values.shape[1], *memory_of(columns), values.shape[0])


def as_values(values: NDArray[Any]) -> NDArray[Any]:
    """A read-only view of ``values`` whose rows have adjacent elements; a copy if theirs do not.

    Raises ValueError unless there are two axes, TypeError unless the dtype is float32 or float64.
    """
    if values.ndim != 2:
        raise ValueError(f"values must have two axes, got shape {values.shape}")
    if values.dtype not in (np.float32, np.float64):
        raise TypeError(f"values must be float32 or float64, got {values.dtype}")
    values = values.view() if _has_adjacent_elements(values) else np.ascontiguousarray(values)
    values.flags.writeable = False  # or loops would be compiled for both kinds
    return values


def _has_adjacent_elements(rows: NDArray[Any]) -> bool:
    between, within = rows.strides
    return not rows.size or (within == rows.itemsize and between >= 0 and between % within == 0)


def _check_output(
    name: str, array: NDArray[Any], transposed: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    if array.shape != transposed[::-1]:
        raise ValueError(f"{name} must be [units, images] = {transposed[::-1]}, got {array.shape}")
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, got {array.dtype}")
    if not _has_adjacent_elements(array):
        raise ValueError(f"{name} must have adjacent images, got strides {array.strides}")


def _is_plain(width: NDArray[np.float64], magnitude: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The units for which the edge nearest to ``(x - lo) * scale`` bounds the bin of every x.

    Let u = 2**-53 and M = max(abs(lo), abs(hi)), the magnitude. If nothing is subnormal or
    overflows, that place is off by at most 5 u * bins bins from the exact one, and an edge by
    (5 u + u * M / width) * bins. For these units and at most 65,535 bins, both errors together
    stay below 2**-4 bins. Less than a half is enough for x to lie between the edges before and
    after the nearest one.
    """
    return (width >= 2.0**-32 * magnitude) & (width >= 2.0**-1000) & (width <= 2.0**1000)


def _codes_like_numpy(x: NDArray[Any], lo: float, hi: float, bins: int) -> NDArray[np.int64]:
    """The bins of the values ``x`` [images] of one unit, by the steps of ``numpy.histogram``."""
    with np.errstate(over="ignore"):  # in the width, and in the last edge, which is replaced below
        half = 1.0 if np.isfinite(hi - lo) else 0.5
        x, lo, hi = x.astype(np.float64) * half, lo * half, hi * half
        edges = np.linspace(lo, hi, bins + 1)
    edges[bins] = np.inf  # no value moves beyond the last bin
    codes = np.full(x.shape, bins)
    inside = (lo <= x) & (x <= hi)
    x = x[inside]
    guess = np.minimum(((x - lo) / (hi - lo) * bins).astype(np.int64), bins - 1)
    codes[inside] = guess - (x < edges[guess]) + (x >= edges[guess + 1])
    return codes


@compiled
def _find_ranges(
    values: NDArray[Any],
    stride: int,
    images: int,
    lo: NDArray[Any],
    hi: NDArray[Any],
    n: NDArray[np.int32],
) -> None:
    units = lo.shape[0]
    for i in range(images):
        row = values[i * stride : i * stride + units]
        for u in range(units):
            x = row[u]
            finite = np.isfinite(x)
            lo[u] = min(lo[u], x) if finite else lo[u]
            hi[u] = max(hi[u], x) if finite else hi[u]
            n[u] += np.int32(finite)


@compiled
def _fill_codes(
    values: NDArray[Any],
    values_stride: int,
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
    step: NDArray[np.float64],
    scale: NDArray[np.float64],
    bins: int,
    codes: Codes,
    codes_stride: int,
    images: int,
) -> None:
    tile = np.empty(_TILE_IMAGES * _TILE_WIDTH, np.int32)
    for u in range(0, lo.shape[0], _TILE_UNITS):
        n = min(_TILE_UNITS, lo.shape[0] - u)
        a, b, steps, scales = lo[u : u + n], hi[u : u + n], step[u : u + n], scale[u : u + n]
        for i in range(0, images, _TILE_IMAGES):
            rows = min(_TILE_IMAGES, images - i)
            for r in range(rows):
                row = values[(i + r) * values_stride + u :][:n]
                _code_row(row, a, b, steps, scales, bins, tile[r * _TILE_WIDTH :])
            _store_transposed(tile, rows, n, codes, u * codes_stride + i, codes_stride)


@compiled_helper
def _code_row(
    row: NDArray[Any],
    lo: NDArray[np.float64],
    hi: NDArray[np.float64],
    step: NDArray[np.float64],
    scale: NDArray[np.float64],
    bins: int,
    codes: NDArray[np.int32],
) -> None:
    """Write the codes of one image, for units that are plain or constant (step and scale 0).

    There is no branch, so that the compiler handles several units at a time.
    """
    last, none = np.float64(bins - 1), np.float64(bins)
    for u in range(row.shape[0]):
        x = np.float64(row[u])
        k = np.rint((x - lo[u]) * scale[u])  # the nearest edge; x is below it or not
        k = k - 1.0 if x < k * step[u] + lo[u] else k
        inside = (lo[u] <= x) & (x <= hi[u])
        codes[u] = np.int32(min(k, last) if inside else none)


@compiled
def _transpose(
    values: NDArray[Any],
    values_stride: int,
    units: int,
    columns: NDArray[Any],
    columns_stride: int,
    images: int,
) -> None:
    tile = np.empty(_TILE_IMAGES * _TILE_WIDTH, columns.dtype)
    for u in range(0, units, _TILE_UNITS):
        n = min(_TILE_UNITS, units - u)
        for i in range(0, images, _TILE_IMAGES):
            rows = min(_TILE_IMAGES, images - i)
            for r in range(rows):
                row, copy = values[(i + r) * values_stride + u :], tile[r * _TILE_WIDTH :]
                for k in range(n):
                    copy[k] = row[k]
            _store_transposed(tile, rows, n, columns, u * columns_stride + i, columns_stride)


@compiled_helper
def _store_transposed(
    tile: NDArray[Any], rows: int, units: int, memory: NDArray[Any], start: int, stride: int
) -> None:
    """Write the columns of ``tile`` to ``memory``, the first at ``start``, then a stride apart."""
    for u in range(units):
        for r in range(rows):
            # Unsigned, so that the compiled code need not ask whether an index is negative.
            memory[np.uint64(start + u * stride + r)] = tile[np.uint64(r * _TILE_WIDTH + u)]

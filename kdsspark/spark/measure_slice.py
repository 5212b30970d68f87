"""What an executor does with one slice of one layer: read it once, bin, count, compare, write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from kdsspark.config import Measure
from kdsspark.errors import InvariantError
from kdsspark.spark.units import Outcome
from kdsspark.stats.bins import Ranges, bin_codes, feature_ranges
from kdsspark.stats.histograms import class_histograms
from kdsspark.stats.ks import BinnedKS, binned_ks, exact_ks
from kdsspark.stats.shuffles import shuffled_labels
from kdsspark.storage import parquet
from kdsspark.storage.files import Store
from kdsspark.storage.parquet import PartWriter, nullable
from kdsspark.tables import HISTOGRAMS, KS, RANGES, Table

PARTS: Final[tuple[tuple[Table, tuple[str, ...]], ...]] = (
    (RANGES, ()),
    (HISTOGRAMS, ()),
    (KS, ("true",)),
    (KS, ("shuffled",)),
)
"""The files a slice writes: table and the partition values after network and dataset."""

_BLOCK_BYTES: Final = 1 << 26  # of histograms at a time; also the size of a row group, unpacked


@dataclass(frozen=True)
class MeasureJob:
    """What all slices of one network and dataset share."""

    store: Store
    network: str
    dataset: str
    parts: tuple[str, ...]  # files of `embeddings`
    n_images: int
    n_classes: int
    settings: Measure


@dataclass(frozen=True)
class LayerSlice:
    """Units ``start`` to ``stop`` of a layer that has ``width`` of them."""

    layer: str
    depth: int
    start: int
    stop: int
    width: int

    @property
    def name(self) -> str:
        """Stable and safe as a file name, which a layer's own name may not be."""
        return f"layer-{self.depth:03d}-units-{self.start:05d}-{self.stop:05d}"


def measure_slice(work: tuple[MeasureJob, LayerSlice]) -> Outcome:
    """Write the slice's parts of ``ranges``, ``histograms`` and ``ks``."""
    job, cut = work
    start = time.perf_counter()
    values, labels = _read(job, cut)
    read = time.perf_counter()
    ranges = feature_ranges(values)
    with ExitStack() as stack:
        writers = {
            (table.name, *labels_of): stack.enter_context(_writer(job, cut, table, labels_of))
            for table, labels_of in PARTS
            if table is not HISTOGRAMS or job.settings.histograms
        }
        writers["ranges",].write(_ranges(cut, ranges))
        for first, last in _blocks(job, cut):
            _measure_block(job, cut, (first, last), values[first:last], ranges, labels, writers)
    done = time.perf_counter()
    counts = {"images": job.n_images, "features": cut.stop - cut.start}
    return Outcome(counts, {"read": read - start, "compute and write": done - read})


def _writer(job: MeasureJob, cut: LayerSlice, table: Table, labels: tuple[str, ...]) -> Any:
    folder = table.partition(job.network, job.dataset, *labels)
    return parquet.writer(job.store, f"{folder}/{cut.name}.parquet", table.schema)


def _blocks(job: MeasureJob, cut: LayerSlice) -> Iterator[tuple[int, int]]:
    """Ranges of positions within the slice whose histograms fill about ``_BLOCK_BYTES``."""
    size = max(1, _BLOCK_BYTES // (4 * job.n_classes * job.settings.bins))
    for first in range(0, cut.stop - cut.start, size):
        yield first, min(first + size, cut.stop - cut.start)


# -- reading -------------------------------------------------------------------------------------


def _read(job: MeasureJob, cut: LayerSlice) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """values [units, images] as stored (float32 or float64); labels [labelings, images].

    Labeling 0 is the true one, the others are the shuffles.
    """
    values: npt.NDArray[Any] | None = None
    true = np.empty(job.n_images, np.int32)
    keys = np.empty((job.n_images, 2), np.uint64)
    row = 0
    for group in _row_groups(job, cut):
        flat, n = _flat(group[cut.layer]), len(group)
        if values is None:
            values = np.empty((cut.stop - cut.start, job.n_images), flat.dtype)
        if row + n <= job.n_images:
            rows = slice(row, row + n)
            values[:, rows] = flat.reshape(n, cut.width)[:, cut.start : cut.stop].T
            true[rows], keys[rows] = group["class_id"].to_numpy(), image_keys(group["image_id"])
        row += n
    if values is None or row != job.n_images:
        raise InvariantError(
            f"embeddings of {job.network}/{job.dataset} must have {job.n_images} rows by the "
            f"receipts, got {row} in their files"
        )
    seed, shuffles = job.settings.seed, range(1, job.settings.shuffles + 1)
    labels = [true, *(shuffled_labels(keys, true, seed, shuffle) for shuffle in shuffles)]
    return values, np.stack(labels)


def _row_groups(job: MeasureJob, cut: LayerSlice) -> Iterator[pa.Table]:
    columns = ["image_id", "class_id", cut.layer]
    for path in job.parts:
        with job.store.fs.open(job.store.path(path), "rb") as source:
            file = pq.ParquetFile(source)
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=columns)


def _flat(lists: pa.ChunkedArray) -> npt.NDArray[Any]:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=True) for chunk in lists.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def image_keys(ids: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """``image_id`` (32 hex digits) as uint64 [images, 2]."""
    digits = "".join(ids.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), ">u8").reshape(-1, 2).astype(np.uint64)


# -- computing -----------------------------------------------------------------------------------


def _measure_block(
    job: MeasureJob,
    cut: LayerSlice,
    block: tuple[int, int],
    values: npt.NDArray[Any],
    ranges: Ranges,
    labels: npt.NDArray[np.int32],
    writers: dict[tuple[str, ...], PartWriter],
) -> None:
    """Histograms and distances of the units ``block`` (positions within the slice)."""
    first, last = block
    bins, n_classes = job.settings.bins, job.n_classes
    codes = bin_codes(values, ranges.lo[first:last], ranges.hi[first:last], bins)
    exact = exact_ks(values, labels, n_classes) if job.settings.exact else None
    rows: list[pa.Table] = []
    for shuffle, labeling in enumerate(labels):
        counts = class_histograms(codes, labeling, n_classes, bins)
        ks = binned_ks(counts)
        rows.append(_ks(cut, first, shuffle, ks, None if exact is None else exact[shuffle]))
        if shuffle == 0 and job.settings.histograms:
            writers["histograms",].write(_histograms(cut, first, counts, ks))
    writers["ks", "true"].write(rows[0])
    order = [("unit", "ascending"), ("class_id", "ascending"), ("shuffle", "ascending")]
    writers["ks", "shuffled"].write(pa.concat_tables(rows[1:]).sort_by(order))


# -- tables --------------------------------------------------------------------------------------


def _ranges(cut: LayerSlice, ranges: Ranges) -> pa.Table:
    n = cut.stop - cut.start
    return pa.table(
        {
            "layer": pa.repeat(cut.layer, n),
            "unit": pa.array(np.arange(cut.start, cut.stop, dtype=np.int32)),
            "lo": nullable(ranges.lo),
            "hi": nullable(ranges.hi),
            "n": pa.array(ranges.n),
            "n_nonfinite": pa.array(ranges.n_nonfinite),
        }
    )


def _pairs(cut: LayerSlice, first: int, shape: tuple[int, int]) -> dict[str, pa.Array]:
    """The leading columns of one row per (unit, class), units outermost."""
    n_units, n_classes = shape
    start = cut.start + first
    return {
        "layer": pa.repeat(cut.layer, n_units * n_classes),
        "unit": pa.array(np.repeat(np.arange(start, start + n_units, dtype=np.int32), n_classes)),
        "class_id": pa.array(np.tile(np.arange(n_classes, dtype=np.int32), n_units)),
    }


def _histograms(
    cut: LayerSlice, first: int, counts: npt.NDArray[np.int32], ks: BinnedKS
) -> pa.Table:
    n_units, n_classes, bins = counts.shape
    offsets = pa.array(np.arange(0, counts.size + 1, bins, dtype=np.int32))
    kind = HISTOGRAMS.schema.field("counts").type
    columns = _pairs(cut, first, (n_units, n_classes))
    columns["n"] = pa.array(ks.n_inner.ravel())
    columns["counts"] = pa.ListArray.from_arrays(offsets, pa.array(counts.ravel()), type=kind)
    return pa.table(columns)


def _ks(
    cut: LayerSlice,
    first: int,
    shuffle: int,
    ks: BinnedKS,
    exact: npt.NDArray[np.float64] | None,
) -> pa.Table:
    n = ks.ks.size
    columns = _pairs(cut, first, (ks.ks.shape[0], ks.ks.shape[1]))
    columns["shuffle"] = pa.repeat(pa.scalar(shuffle, pa.int32()), n)
    columns["n_inner"] = pa.array(ks.n_inner.ravel())
    columns["n_outer"] = pa.array(ks.n_outer.ravel())
    columns["ks"] = nullable(ks.ks.ravel())
    columns["bin"] = pa.array(ks.bin.ravel())
    columns["ks_exact"] = pa.nulls(n, pa.float64()) if exact is None else nullable(exact.ravel())
    return pa.table(columns)

"""What each compiled kernel costs on one core, in nanoseconds per value.

    python benchmarks/kernels.py --images 20000 1300000 --zeros 0.5

Values are normal and, as after a ReLU, a share of them is zero. Kernels that take rows as Parquet
gives them are timed on one row group into part of larger arrays, the others on a few units of all
images, the shuffles on ids. Each time is the least of several: the rest is other programs'.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kdsspark.stats import shuffles
from kdsspark.stats.bins import bin_codes, codes_dtype, feature_ranges, fill_columns
from kdsspark.stats.histograms import class_histograms
from kdsspark.stats.ks import binned_ks, exact_ks
from kdsspark.stats.ranks import compare_classes

ROW_GROUP = 512
WIDTH = 4096  # units of the widest layers of VGG16
VALUES = 4_000_000  # of the units that are taken of all images


def least(repeats: int, call: Callable[[], object]) -> float:
    """Seconds of the quickest call, after one that compiles."""
    call()
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return min(spent)


def activations(options: argparse.Namespace, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(0)
    values = np.abs(rng.standard_normal(shape, np.float32)).astype(options.dtype)
    values[rng.random(shape, np.float32) < options.zeros] = 0
    return values


def report(kernel: str, seconds: float, values: int) -> None:
    print(f"  {kernel:<34}{seconds / values * 1e9:>8.2f}")


def time_rows(options: argparse.Namespace) -> None:
    """The kernels that read rows: [images, units] to [units, images]."""
    rows = activations(options, (ROW_GROUP, WIDTH))
    into = slice(ROW_GROUP, 2 * ROW_GROUP)
    codes = np.zeros((WIDTH, 4 * ROW_GROUP), codes_dtype(options.bins))[:, into]
    columns = np.zeros((WIDTH, 4 * ROW_GROUP), rows.dtype)[:, into]
    ranges = feature_ranges(rows)
    kernels = {
        "feature_ranges": lambda: feature_ranges(rows),
        "bin_codes": lambda: bin_codes(rows, ranges.lo, ranges.hi, options.bins, codes),
        "fill_columns": lambda: fill_columns(rows, columns),
    }
    print(f"a row group of {ROW_GROUP} images x {WIDTH} units, ns per value")
    for name, kernel in kernels.items():
        report(name, least(options.repeats, kernel), rows.size)


def time_columns(options: argparse.Namespace, images: int) -> None:
    """The kernels that go over one unit at a time."""
    n_classes, bins = options.classes, options.bins
    values = activations(options, (images, max(2, VALUES // images)))
    ranges = feature_ranges(values)
    codes = np.empty(values.shape[::-1], codes_dtype(bins))
    bin_codes(values, ranges.lo, ranges.hi, bins, codes)
    columns = np.ascontiguousarray(values.T)
    labels = np.random.default_rng(1).integers(0, n_classes, (2, images)).astype(np.int32)
    counts = class_histograms(codes, labels[0], n_classes, bins)
    kernels = {
        "class_histograms": lambda: class_histograms(codes, labels[0], n_classes, bins),
        "binned_ks": lambda: binned_ks(counts),
        "exact_ks, one labeling": lambda: exact_ks(columns, labels[:1], n_classes),
        "exact_ks, two labelings": lambda: exact_ks(columns, labels, n_classes),
        "compare_classes, one labeling": lambda: compare_classes(columns, labels[:1], n_classes),
    }
    print(f"{images} images x {len(columns)} units, {n_classes} classes, ns per value")
    for name, kernel in kernels.items():
        report(name, least(options.repeats, kernel), columns.size)


def time_shuffles(options: argparse.Namespace, images: int) -> None:
    """One shuffle of all images, and the steps for images in parts."""
    rng = np.random.default_rng(2)
    keys = rng.integers(0, 1 << 63, (images, 2)).astype(np.uint64)
    labels = rng.integers(0, options.classes, images).astype(np.int32)
    sizes = np.bincount(labels)
    counts = shuffles.count_hashes(keys, 0, 1)
    buckets = counts.at_boundaries(sizes)
    candidates = shuffles.find_candidates(keys, buckets, 0, 1)
    boundaries = shuffles.find_boundaries(sizes, counts, candidates)
    kernels = {
        "shuffled_labels": lambda: shuffles.shuffled_labels(keys, labels, 0, 1),
        "count_hashes": lambda: shuffles.count_hashes(keys, 0, 1),
        "find_candidates": lambda: shuffles.find_candidates(keys, buckets, 0, 1),
        "find_boundaries": lambda: shuffles.find_boundaries(sizes, counts, candidates),
        "deal": lambda: shuffles.deal(keys, boundaries, 0, 1),
    }
    print(f"a shuffle of {images} images, {options.classes} classes, ns per image")
    for name, kernel in kernels.items():
        report(name, least(options.repeats, kernel), images)


def main() -> None:
    """Print one table for every number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[20_000, 1_300_000])
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--bins", type=int, default=100)
    parser.add_argument("--zeros", type=float, default=0.5, help="share of values that are zero")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    time_rows(options)
    for images in options.images:
        time_columns(options, images)
        time_shuffles(options, images)


if __name__ == "__main__":
    main()

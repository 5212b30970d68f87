from __future__ import annotations

import numpy as np
import pytest

from kdsspark.stats.bins import bin_codes, codes_dtype, feature_ranges
from kdsspark.stats.histograms import class_histograms


@pytest.mark.parametrize("bins", [7, 300])
def test_counts_are_those_of_numpy_class_by_class(bins: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 3)).astype(np.float32)
    values[:5, 0] = np.nan
    labels = rng.integers(0, 4, 400).astype(np.int32)
    ranges = feature_ranges(values)
    codes = np.empty((3, 400), codes_dtype(bins))
    bin_codes(values, ranges.lo, ranges.hi, bins, codes)
    counts = class_histograms(codes, labels, 6, bins)
    assert counts.dtype == np.int32
    assert counts.shape == (3, 6, bins)
    for unit in range(3):
        limits = (ranges.lo[unit], ranges.hi[unit])
        for label in range(6):
            inner = values[labels == label, unit].astype(np.float64)
            expected = np.histogram(inner[np.isfinite(inner)], bins, limits)[0]
            assert counts[unit, label].tolist() == expected.tolist()


def test_a_worked_example() -> None:
    codes = np.array([[0, 1, 1, 2]], np.uint8)  # 2: in no bin
    counts = class_histograms(codes, np.array([0, 0, 1, 1], np.int32), 2, 2)
    assert counts.tolist() == [[[1, 1], [0, 1]]]


def test_counts_add_up_over_images() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 6, (2, 50)).astype(np.uint8)
    labels = rng.integers(0, 3, 50).astype(np.int32)
    halves = [class_histograms(codes[:, s], labels[s], 3, 5) for s in (slice(20), slice(20, 50))]
    assert (sum(halves) == class_histograms(codes, labels, 3, 5)).all()


def test_codes_cut_out_of_a_larger_array() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 6, (9, 80)).astype(np.uint8)
    labels = rng.integers(0, 3, 50).astype(np.int32)
    expected = class_histograms(codes[2:5, 7:57].copy(), labels, 3, 5)
    assert (class_histograms(codes[2:5, 7:57], labels, 3, 5) == expected).all()


def test_no_image_gives_zeros() -> None:
    nothing = class_histograms(np.empty((2, 0), np.uint8), np.empty(0, np.int32), 3, 4)
    assert nothing.tolist() == np.zeros((2, 3, 4)).tolist()


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match="labels must be from 0 to 1, got"):
        class_histograms(np.zeros((1, 2), np.uint8), np.array([0, label], np.int32), 2, 4)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels must be \(2,\), got \(3,\)"):
        class_histograms(np.zeros((1, 2), np.uint8), np.zeros(3, np.int32), 2, 4)
    with pytest.raises(ValueError, match=r"codes must be \[units, images\]"):
        class_histograms(np.zeros(2, np.uint8), np.zeros(2, np.int32), 2, 4)

"""The stratified split, and vectors made ready by numpy row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kdsspark.stats.accuracy.split import images_to_test, normalised
from kdsspark.stats.shuffles import shuffled_labels

SIZES = [1, 2, 3, 10, 0, 57]


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    labels = rng.permutation(np.repeat(np.arange(len(SIZES)), SIZES)).astype(np.int32)
    return rng.integers(0, 1 << 63, (len(labels), 2)).astype(np.uint64), labels


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.3, [0, 1, 1, 3, 0, 17]),
        (0.25, [0, 1, 1, 3, 0, 14]),  # 2.5 is rounded up
        (0.01, [0, 1, 1, 1, 0, 1]),
        (0.99, [0, 1, 2, 9, 0, 56]),
    ],
)
def test_every_class_is_cut_by_the_share(
    images: tuple[np.ndarray, np.ndarray], share: float, expected: list[int]
) -> None:
    keys, labels = images
    tested = images_to_test(keys, labels, share, seed=0)
    assert np.bincount(labels[tested], minlength=len(SIZES)).tolist() == expected


def test_it_depends_on_seed_and_ids_only(images: tuple[np.ndarray, np.ndarray]) -> None:
    keys, labels = images
    tested = images_to_test(keys, labels, 0.3, seed=0)
    order = np.random.default_rng(1).permutation(len(labels))
    assert (images_to_test(keys[order], labels[order], 0.3, seed=0) == tested[order]).all()
    assert (images_to_test(keys, labels, 0.3, seed=1) != tested).any()
    # One class is cut as it is, whatever the others are.
    some = labels != 3
    assert (images_to_test(keys[some], labels[some], 0.3, seed=0) == tested[some]).all()


def test_the_order_is_none_of_the_shuffled_labels(images: tuple[np.ndarray, np.ndarray]) -> None:
    keys, labels = images
    one_class, places = np.zeros_like(labels), np.arange(labels.size, dtype=np.int32)
    tested = images_to_test(keys, one_class, 0.5, seed=0)
    for shuffle in range(1, 11):
        first_half = shuffled_labels(keys, places, 0, shuffle) < tested.sum()
        assert (first_half != tested).any()


def test_a_larger_share_only_adds_images(images: tuple[np.ndarray, np.ndarray]) -> None:
    keys, labels = images
    few, many = (images_to_test(keys, labels, share, seed=5) for share in (0.2, 0.6))
    assert not (few & ~many).any()
    assert few.sum() < many.sum()


def test_an_id_that_is_there_twice_is_refused(images: tuple[np.ndarray, np.ndarray]) -> None:
    keys, labels = images
    keys[3] = keys[7]
    with pytest.raises(ValueError, match="image ids must differ"):
        images_to_test(keys, labels, 0.3, seed=0)


def test_vectors_are_normalised_image_by_image() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(30, 7)).astype(np.float32)
    values[4], values[5, 2], values[6, 0] = 0, np.nan, np.inf
    finite = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
    lengths = [math.hypot(*row) or 1 for row in finite.tolist()]
    unit = np.array([row / length for row, length in zip(finite, lengths, strict=True)])
    np.testing.assert_array_equal(normalised(values, l2=False, signed_root=False), finite)
    np.testing.assert_allclose(normalised(values, l2=True, signed_root=False), unit)
    rooted = normalised(values, l2=True, signed_root=True)
    np.testing.assert_allclose(rooted**2 * np.sign(rooted), unit, atol=1e-15)
    assert not normalised(values, l2=True, signed_root=True)[4].any()
    assert normalised(np.array([[-1, 0, 1]], np.int8), False, True).tolist() == [[-1, 0, 1]]

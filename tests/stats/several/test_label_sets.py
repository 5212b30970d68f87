"""Sets of labels: their numbers, their sizes, and histograms one class against the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kdsspark.stats.distances import DISTANCES
from kdsspark.stats.ks import binned_ks
from kdsspark.stats.several.label_sets import LabelSets, set_histograms
from kdsspark.stats.shuffles import shuffled_labels
from tests import reference

Array = np.ndarray[Any, Any]


def drawn(images: int, n_classes: int, share: float, seed: int = 0) -> Array:
    """Booleans [images, classes]; some images have no class, and the last class no image."""
    found = np.random.default_rng(seed).random((images, n_classes)) < share
    found[:3] = False
    found[:, -1] = False
    return found


def sets_of(member: Array) -> tuple[LabelSets, Array]:
    rows = [tuple(np.flatnonzero(row).tolist()) for row in member]
    sets, numbers = LabelSets.of(rows, member.shape[1])
    return sets, np.array(numbers, np.int32)


def test_equal_sets_have_one_number_in_the_order_of_their_classes() -> None:
    sets, numbers = LabelSets.of([(1,), (0, 2), (), (1,), (0,)], 4)
    assert numbers == [3, 2, 0, 3, 1]
    assert sets.starts.tolist() == [0, 0, 1, 3, 4]
    assert sets.classes.tolist() == [0, 0, 2, 1]
    assert sets.n_sets == 4
    assert sets.sizes(np.array(numbers, np.int32)).tolist() == [2, 2, 1, 0]


@pytest.mark.parametrize("one", [(1, 0), (0, 0), (-1,), (3,), (0, 3)])
def test_other_sets_are_refused(one: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending class ids from 0 to 2"):
        LabelSets.of([(0, 1), one], 3)


@pytest.mark.parametrize(("images", "n_classes", "share"), [(60, 4, 0.4), (30, 2, 0.0), (9, 9, 1)])
def test_a_class_is_counted_against_all_images_without_it(
    images: int, n_classes: int, share: float
) -> None:
    rng = np.random.default_rng(1)
    member = drawn(images, n_classes, share)
    sets, labels = sets_of(member)
    bins = 6
    codes = rng.integers(0, bins + 1, (5, images)).astype(np.uint8)  # the last: in no bin
    counts = set_histograms(codes, labels, sets, bins)
    found = binned_ks(counts[:, 1:], counts[:, 0])
    for unit, class_id in np.ndindex(5, n_classes):
        sides = [codes[unit, member[:, class_id] == side] for side in (True, False)]
        inner, outer = (np.bincount(side, minlength=bins + 1)[:bins] for side in sides)
        assert counts[unit, 1 + class_id].tolist() == inner.tolist()
        assert (counts[unit, 0] - counts[unit, 1 + class_id]).tolist() == outer.tolist()
        ks, where = reference.binned_ks(inner, outer)
        got = found.ks[unit, class_id]
        assert (None if np.isnan(got) else got, found.bin[unit, class_id]) == (ks, where)
        assert found.n_inner[unit, class_id] == inner.sum()
        assert found.n_outer[unit, class_id] == outer.sum()


@pytest.mark.parametrize("name", DISTANCES)
def test_other_distances_are_those_of_two_classes(name: str) -> None:
    """One class against the rest is a dataset of two classes, each image in one of them."""
    rng = np.random.default_rng(2)
    sets, labels = sets_of(drawn(80, 5, 0.3))
    codes = rng.integers(0, 8, (3, 80)).astype(np.uint8)
    counts = set_histograms(codes, labels, sets, 8)
    found = DISTANCES[name](counts[:, 1:], counts[:, 0])
    for class_id in range(5):
        inner = counts[:, 1 + class_id]
        both = np.stack([inner, counts[:, 0] - inner], axis=1)
        np.testing.assert_array_equal(found[:, class_id], DISTANCES[name](both)[:, 0])


def test_a_shuffle_deals_out_whole_sets() -> None:
    member = drawn(200, 6, 0.3)
    sets, labels = sets_of(member)
    keys = np.random.default_rng(0).integers(0, 1 << 63, (200, 2)).astype(np.uint64)
    shuffled = shuffled_labels(keys, labels, 0, 1)
    again = np.zeros_like(member)
    for image, label in enumerate(shuffled):
        again[image, sets.classes[sets.starts[label] : sets.starts[label + 1]]] = True
    assert (again != member).any()
    # The same rows in another order: so classes keep their sizes, and what they have in common.
    assert sorted(map(tuple, again)) == sorted(map(tuple, member))
    np.testing.assert_array_equal(sets.sizes(shuffled), member.sum(0))


REFUSED: dict[str, Any] = {
    "labels must be": lambda sets: (np.zeros((2, 3), np.uint8), np.zeros(4, np.int32), sets),
    "codes must be": lambda sets: (np.zeros(3, np.uint8), np.zeros(3, np.int32), sets),
    "labels must be from 0 to 1": lambda sets: (
        np.zeros((2, 3), np.uint8),
        np.full(3, 2, np.int32),
        sets,
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_labels_and_codes_that_do_not_fit_are_refused(message: str) -> None:
    sets, _ = LabelSets.of([(), (0,)], 1)
    with pytest.raises(ValueError, match=message):
        set_histograms(*REFUSED[message](sets), 4)


@pytest.mark.parametrize("function", [binned_ks, *DISTANCES.values()])
def test_totals_of_another_shape_are_refused(function: Any) -> None:
    with pytest.raises(ValueError, match=r"totals must be \(2, 4\), got shape \(2, 3\)"):
        function(np.zeros((2, 3, 4), np.int32), np.zeros((2, 3), np.int32))

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from functools import reduce
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kdsspark.stats import shuffles
from kdsspark.stats.shuffles import (
    Candidates,
    HashCounts,
    count_hashes,
    deal,
    find_boundaries,
    find_candidates,
    shuffled_labels,
)


def keys_of(*names: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Ids of 128 bits that differ in their low half only, as adverse as ids get."""
    return np.array([[7, name] for name in names], np.uint64)


KEYS = keys_of(*range(200))
LABELS = (np.arange(200) % 7).astype(np.int32)


def test_shuffle_0_gives_the_true_labels() -> None:
    assert shuffled_labels(KEYS, LABELS, 5, 0).tolist() == LABELS.tolist()


@pytest.mark.parametrize(("seed", "shuffle"), [(0, 1), (0, 2), (3, 1), (10**30, 10)])
def test_class_sizes_are_kept_and_the_order_of_images_does_not_matter(
    seed: int, shuffle: int
) -> None:
    result = shuffled_labels(KEYS, LABELS, seed, shuffle)
    assert result.dtype == np.int32
    assert np.bincount(result).tolist() == np.bincount(LABELS).tolist()
    order = np.random.default_rng(0).permutation(200)
    moved = shuffled_labels(KEYS[order], LABELS[order], seed, shuffle)
    assert moved.tolist() == result[order].tolist()


def test_which_image_has_which_label_does_not_matter() -> None:
    other = np.random.default_rng(1).permutation(LABELS)
    result = shuffled_labels(KEYS, other, 0, 1)
    assert result.tolist() == shuffled_labels(KEYS, LABELS, 0, 1).tolist()


def test_seeds_shuffles_and_both_halves_of_the_id_matter() -> None:
    results = [shuffled_labels(KEYS, LABELS, seed, s) for seed in (0, 1, 12) for s in (1, 2, 21)]
    results.append(shuffled_labels(KEYS[:, ::-1], LABELS, 0, 1))
    results.append(shuffled_labels(KEYS + np.array([1, 0], np.uint64), LABELS, 0, 1))
    assert len({r.tobytes() for r in results}) == len(results)


def mixed(z: int) -> int:
    """The finaliser of SplitMix64 in unbounded integers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_labels_follow_the_hash_and_so_stay_the_same_between_versions() -> None:
    key = int.from_bytes(hashlib.blake2b(b"3 2", digest_size=16).digest(), "little")
    low_key, high_key = key % 2**64, key >> 64
    ids = [(int(high), int(low)) for high, low in KEYS]
    hashes = {i: mixed(mixed(i[0] ^ low_key) ^ i[1] ^ high_key) for i in ids}
    ranks = {i: rank for rank, i in enumerate(sorted(ids, key=lambda i: (hashes[i], i)))}
    expected = [sorted(LABELS.tolist())[ranks[i]] for i in ids]
    assert shuffled_labels(KEYS, LABELS, 3, 2).tolist() == expected


@pytest.mark.parametrize("vary", ["shuffle", "seed"])
def test_every_arrangement_is_equally_likely(vary: str) -> None:
    labels = np.arange(4, dtype=np.int32)
    keys = keys_of(0, 1, 2, 3)
    draws = 6000
    pairs = ((0, i) if vary == "shuffle" else (i, 1) for i in range(1, draws + 1))
    seen = Counter(tuple(shuffled_labels(keys, labels, *pair).tolist()) for pair in pairs)
    counts = [seen[arrangement] for arrangement in permutations(range(4))]
    assert sum(counts) == draws
    assert stats.chisquare(counts).pvalue > 1e-4


def test_shuffled_labels_are_independent_of_the_true_ones() -> None:
    keys = np.random.default_rng(2).integers(0, 2**63, (20_000, 2)).astype(np.uint64)
    labels = (np.arange(20_000) % 5).astype(np.int32)
    first, second = (shuffled_labels(keys, labels, 0, shuffle) for shuffle in (1, 2))
    for a, b in ((labels, first), (first, second)):
        table = np.zeros((5, 5), int)
        np.add.at(table, (a, b), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_wrong_arguments_are_refused() -> None:
    labels = np.zeros(3, np.int32)
    with pytest.raises(ValueError, match="must differ, got 00000000000000070000000000000009 twice"):
        shuffled_labels(keys_of(9, 1, 9), labels, 0, 1)
    with pytest.raises(ValueError, match="shuffle must be at least 0, got -1"):
        shuffled_labels(keys_of(1, 2, 3), labels, 0, -1)
    with pytest.raises(ValueError, match=r"got shapes \(2, 2\) and \(3,\)"):
        shuffled_labels(keys_of(1, 2), labels, 0, 1)


def test_no_image_gives_no_label() -> None:
    assert shuffled_labels(keys_of(1)[:0], np.empty(0, np.int32), 0, 1).shape == (0,)


Array = np.ndarray[Any, Any]


def dealt(parts: list[Array], class_sizes: Array, seed: int, shuffle: int) -> list[int]:
    """The labels of the images of all parts, found without having them in one place."""
    counts = reduce(
        HashCounts.merge, (count_hashes(p, seed, shuffle) for p in parts), HashCounts.zero()
    )
    buckets = counts.at_boundaries(class_sizes)
    selected = (find_candidates(p, buckets, seed, shuffle) for p in reversed(parts))
    candidates = reduce(Candidates.merge, selected, Candidates.zero())
    boundaries = pickle.loads(pickle.dumps(find_boundaries(class_sizes, counts, candidates)))
    return [label for p in parts for label in deal(p, boundaries, seed, shuffle).tolist()]


def full(image_keys: Array, *_: int) -> Array:
    """All images in few buckets, and with few hashes: the order of ids decides."""
    return image_keys[:, 1] % np.uint64(3) << np.uint64(62)


def crowded(image_keys: Array, *_: int) -> Array:
    """Different hashes in one bucket."""
    return image_keys[:, 1] * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(17)


@pytest.mark.parametrize("weak", [None, full, crowded])
@settings(max_examples=40)
@given(
    labels=st.lists(st.sampled_from([0, 1, 1, 1, 4, 5, 9]), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    seed=st.integers(0, 5),
    empty_classes=st.integers(0, 2),
)
def test_parts_dealt_apart_get_the_labels_of_the_whole(
    weak: Any, labels: list[int], cuts: list[int], seed: int, empty_classes: int
) -> None:
    true = np.array(labels, np.int32)
    names = np.random.default_rng(seed).permutation(1000)[: true.size]
    keys = keys_of(*names.tolist()).reshape(-1, 2)
    keys[:, 0] += names.astype(np.uint64) % np.uint64(2)
    class_sizes = np.bincount(true, minlength=true.max(initial=-1) + 1 + empty_classes)
    with pytest.MonkeyPatch.context() as patch:
        if weak:
            patch.setattr(shuffles, "_hash", weak)
        expected = shuffled_labels(keys, true, seed, 2).tolist()
        order = sorted(
            range(true.size),
            key=lambda i: (int(shuffles._hash(keys, seed, 2)[i]), keys[i].tolist()),
        )
        assert [expected[i] for i in order] == sorted(labels)
        parts = np.split(keys, sorted(min(cut, true.size) for cut in cuts))
        assert dealt(parts, class_sizes, seed, 2) == expected


def test_many_images_in_parts_get_the_labels_of_the_whole() -> None:
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 2**63, (200_000, 2)).astype(np.uint64)
    labels = rng.integers(0, 1000, 200_000).astype(np.int32)
    parts = np.array_split(keys, 3)
    assert dealt(parts, np.bincount(labels), 1, 1) == shuffled_labels(keys, labels, 1, 1).tolist()


def test_only_images_near_boundaries_are_candidates() -> None:
    keys = np.random.default_rng(4).integers(0, 2**63, (200_000, 2)).astype(np.uint64)
    counts = count_hashes(keys, 0, 1)
    assert counts.counts.sum() == 200_000
    class_sizes = np.full(100, 2000)
    candidates = find_candidates(keys, counts.at_boundaries(class_sizes), 0, 1)
    assert 99 <= len(candidates.images) < 99 * 10


def test_partial_results_merge_in_any_order_and_grouping() -> None:
    parts = np.split(KEYS, [50, 120])
    a, b, c = (count_hashes(p, 0, 1) for p in parts)
    whole = count_hashes(KEYS, 0, 1).counts.tolist()
    assert a.merge(b).merge(c).counts.tolist() == c.merge(b.merge(a)).counts.tolist() == whole
    buckets = np.arange(0, 65536, 5)
    x, y, z = (find_candidates(p, buckets, 0, 1) for p in parts)
    one, other = x.merge(y).merge(z), z.merge(y.merge(x))
    assert sorted(one.images.tolist()) == sorted(other.images.tolist())
    assert len(one.images) == len(find_candidates(KEYS, buckets, 0, 1).images) > 0


def test_what_does_not_belong_together_is_refused() -> None:
    counts, sizes = count_hashes(KEYS, 0, 1), np.array([150, 50])
    with pytest.raises(ValueError, match="add up to the 200 images counted, got 199"):
        counts.at_boundaries(np.array([150, 49]))
    with pytest.raises(ValueError, match="expected 1 candidates, got 0"):
        find_boundaries(sizes, counts, Candidates.zero())
    nothing = find_boundaries(np.array([0, 0]), HashCounts.zero(), Candidates.zero())
    assert deal(KEYS[:0], nothing, 0, 1).shape == (0,)
    with pytest.raises(ValueError, match="must have a class for 200 images, got none"):
        deal(KEYS, nothing, 0, 1)
    with pytest.raises(ValueError, match="shuffle must be at least 1 to deal labels, got 0"):
        count_hashes(KEYS, 0, 0)
    with pytest.raises(ValueError, match=r"must be \[images, 2\], got shape \(200,\)"):
        count_hashes(KEYS[:, 0], 0, 1)

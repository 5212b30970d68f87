from __future__ import annotations

import hashlib
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from kdsspark.stats.shuffles import shuffled_labels


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

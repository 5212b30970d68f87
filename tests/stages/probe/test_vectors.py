"""The vectors of files, in memory and a row group at a time, against the arrays written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from kdsspark.config import Probe
from kdsspark.stages.probe.vectors import Streamed, VectorColumns, WholeVectors, of_files
from tests.stages.embedded import Embedded, embed

LAYERS = (("a", 3), ("b", 2))
PARTS = [9, 16, 5]


@pytest.fixture
def data(tmp_path: Path) -> Embedded:
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(30, width)).astype(np.float32) for name, width in LAYERS}
    return embed(tmp_path, values, rng.integers(0, 3, 30).tolist(), PARTS)


def expected(data: Embedded, settings: Probe) -> np.ndarray:
    """[images, features] in the order of the files."""
    joined = np.concatenate([data.layers[name] for name, _ in LAYERS], axis=1).astype(float)
    values = normalize(joined) if settings.l2 else joined
    return np.sign(values) * np.sqrt(np.abs(values)) if settings.signed_root else values


@pytest.mark.parametrize(
    "settings", [Probe(), Probe(l2=False), Probe(signed_root=True)], ids=["l2", "raw", "root"]
)
def test_in_memory_they_are_in_the_order_of_their_ids(data: Embedded, settings: Probe) -> None:
    found = of_files(VectorColumns(data.output, LAYERS, settings), list(data.parts), streams=False)
    assert isinstance(found, WholeVectors)
    assert (found.streams, found.n_features) == (False, 5)
    order = sorted(range(30), key=lambda image: tuple(data.keys[image]))
    assert found.keys.tolist() == data.keys[order].tolist()
    assert found.labels.tolist() == data.labels[order].tolist()
    ((some, vectors),) = found.batches(3)
    assert range(30)[some] == range(30)
    np.testing.assert_allclose(vectors, expected(data, settings)[order], rtol=1e-6)


def test_streamed_they_are_in_the_order_of_the_files_and_each_pass_in_its_own(
    data: Embedded,
) -> None:
    found = of_files(VectorColumns(data.output, LAYERS, Probe()), list(data.parts), streams=True)
    assert isinstance(found, Streamed)
    assert (found.streams, found.n_features) == (True, 5)
    assert found.keys.tolist() == data.keys.tolist()
    assert found.labels.tolist() == data.labels.tolist()
    whole = expected(data, Probe())
    firsts = set()
    for number in (None, *range(8)):
        batches = list(found.batches(number))
        seen = np.concatenate([np.arange(30)[some] for some, _ in batches])
        assert sorted(seen.tolist()) == list(range(30))
        assert max(len(vectors) for _, vectors in batches) <= 7  # a row group
        for some, vectors in batches:
            np.testing.assert_allclose(vectors, whole[some], rtol=1e-6)
        if number is None:
            assert seen.tolist() == list(range(30))
        firsts.add(int(seen[0]))
    assert firsts == {0, 9, 25}  # passes begin with any of the files

"""Images that several layers have, against pandas."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import normalize

from kdsspark.config import Probe
from kdsspark.output.names import Pair
from kdsspark.stages.experiments.fitting import NetworkLayer, read
from tests.stages.embedded import Embedded, embed, image_keys

LABELS = [0] * 12 + [1] * 8 + [2] * 2


@pytest.fixture
def two(tmp_path: Path) -> tuple[Embedded, Embedded]:
    """The second network has all images but the last two."""
    rng = np.random.default_rng(0)
    one = embed(tmp_path, {"x": rng.normal(size=(22, 4)).astype(np.float32)}, LABELS, [15, 7])
    other = Pair("dino", "birds")
    values = {"y": rng.normal(size=(20, 3)).astype(np.float32)}
    return one, embed(tmp_path, values, LABELS[:20], [6, 14], pair=other)


def layers(one: Embedded, other: Embedded) -> list[NetworkLayer]:
    return [
        NetworkLayer("clip", "x", 4, tuple(one.parts)),
        NetworkLayer("dino", "y", 3, tuple(other.parts)),
    ]


def test_images_of_all_networks_are_in_the_order_of_their_ids(
    two: tuple[Embedded, Embedded],
) -> None:
    one, other = two
    found = read(one.output, layers(one, other), Probe(), 99)
    order = sorted(range(20), key=lambda image: tuple(image_keys(20)[image]))
    assert found.keys.tolist() == image_keys(20)[order].tolist()
    assert found.labels.tolist() == np.array(LABELS)[order].tolist()
    for vectors, values in zip(
        found.vectors, (one.layers["x"][order], other.layers["y"][order]), strict=True
    ):
        np.testing.assert_allclose(vectors, normalize(values.astype(float)), rtol=1e-6)


def test_more_than_fit_are_drawn_equally_from_each_class(two: tuple[Embedded, Embedded]) -> None:
    one, _ = two
    (layer, _) = layers(*two)
    draws = []
    for seed in range(3):
        found = read(one.output, [layer], Probe(seed=seed, l2=False), 12)
        assert Counter(found.labels.tolist()) == {0: 4, 1: 4, 2: 2}
        rows = pd.DataFrame(one.layers["x"], index=[tuple(key) for key in one.keys.tolist()])
        of_ids = rows.loc[[tuple(key) for key in found.keys.tolist()]].to_numpy()
        np.testing.assert_allclose(found.vectors[0], of_ids, rtol=1e-6)
        draws.append(found.keys.tolist())
    assert draws[0] != draws[1]
    again = read(one.output, [layer], Probe(seed=2), 12)
    assert again.keys.tolist() == draws[2]


def test_every_class_keeps_two_images(two: tuple[Embedded, Embedded]) -> None:
    one, _ = two
    found = read(one.output, layers(*two)[:1], Probe(), 1)
    assert Counter(found.labels.tolist()) == {0: 2, 1: 2, 2: 2}

"""One set of features, probed without Spark, against scikit-learn on plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from kdsspark.config import Probe
from kdsspark.output import parquet
from kdsspark.stages.probe import classifier, layer_task
from kdsspark.stages.probe.layer_task import ProbeItem, probe_layer
from kdsspark.stats.split import images_to_test
from kdsspark.tables import PROBE
from tests.stages.embedded import PAIR, Embedded, embed, image_id, image_keys

SIZES = [40, 30, 20, 1]  # the class with one image has none to test with
WIDTHS = {"wide": 12, "narrow": 3, "none": 0}


@pytest.fixture
def data(tmp_path: Path) -> Embedded:
    rng = np.random.default_rng(4)
    labels = rng.permutation(np.repeat(range(len(SIZES)), SIZES))
    layers = {}
    for name, width in WIDTHS.items():
        means = rng.normal(size=(len(SIZES), width))
        layers[name] = (rng.normal(size=(len(labels), width)) + 0.5 * means[labels]).astype("f4")
    layers["wide"][5, 3] = np.nan
    return embed(tmp_path, layers, labels.tolist(), [40, 21, 30], row_group=16)


def item(data: Embedded, *layers: str, **changed: Any) -> ProbeItem:
    fields: dict[str, Any] = {
        "name": PAIR.item("all-0000"),
        "digest": "d",
        "output": data.output,
        "pair": PAIR,
        "layer": "+".join(layers),
        "features": "all",
        "layers": tuple((name, WIDTHS[name]) for name in layers),
        "parts": tuple(data.parts),
        "settings": Probe(),
        "streams": False,
    }
    return ProbeItem(**fields | changed)


def to_test(data: Embedded, settings: Probe) -> NDArray[np.bool_]:
    return images_to_test(data.keys, data.labels, settings.test, settings.seed)


def vectors(data: Embedded, settings: Probe, *layers: str) -> NDArray[np.float64]:
    x = np.concatenate([data.layers[name].astype(np.float64) for name in layers], axis=1)
    x = np.nan_to_num(x)
    x = normalize(x) if settings.l2 else x
    return np.sign(x) * np.abs(x) ** 0.5 if settings.signed_root else x


def rows(data: Embedded) -> pd.DataFrame:
    return parquet.read(data.output, PROBE, *PAIR).to_pandas().set_index("class_id")


def check(data: Embedded, guess: NDArray[Any], settings: Probe) -> None:
    """The rows have what a classifier that guesses so gets right; ``guess`` is [images]."""
    found, test = rows(data), to_test(data, settings)
    right = (guess == data.labels) & test
    assert found.index.tolist() == [-1, 0, 1, 2, 3]
    for class_id, row in found.iterrows():
        chosen = (data.labels == class_id) | (class_id == -1)
        n_test = int((test & chosen).sum())
        assert (row["n_train"], row["n_test"]) == ((chosen & ~test).sum(), n_test)
        assert row["correct"] == right[chosen].sum()
        if n_test:
            assert row["accuracy"] == right[chosen].sum() / n_test
        else:
            assert class_id == 3
            assert np.isnan(row["accuracy"])
    assert 0.4 < found.loc[-1, "accuracy"] < 1


@pytest.mark.parametrize(
    "settings",
    [
        Probe(),
        Probe(l2=False),
        Probe(signed_root=True, c=10.0),
        Probe(seed=3, test=0.5, l2=False, signed_root=True),
    ],
)
@pytest.mark.parametrize("layers", [("wide",), ("narrow",), ("wide", "narrow")])
def test_it_is_what_linear_svc_gets_right(
    data: Embedded, settings: Probe, layers: tuple[str, ...]
) -> None:
    outcome = probe_layer(item(data, *layers, settings=settings))
    x, test = vectors(data, settings, *layers), to_test(data, settings)
    order = np.array(sorted(np.flatnonzero(~test), key=image_id))  # the solver heeds the order
    model = LinearSVC(C=settings.c, dual="auto", max_iter=2000, random_state=0)
    check(data, model.fit(x[order], data.labels[order]).predict(x), settings)
    assert set(rows(data)["method"]) == {"LinearSVC"}
    assert set(rows(data)["n_features"]) == {x.shape[1]}
    assert outcome.counts == {"images": 91, "features": x.shape[1], "converged": 1}


def test_beyond_memory_it_is_sgd_over_row_groups(
    data: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_FEWEST_STEPS", 700)
    probe_layer(item(data, "wide", "narrow", streams=True))
    settings = Probe()
    x, test = vectors(data, settings, "wide", "narrow"), to_test(data, settings)
    n = int((~test).sum())
    model = SGDClassifier(alpha=1 / n, average=n, random_state=0)
    groups = [
        [range(0, 16), range(16, 32), range(32, 40)],
        [range(40, 56), range(56, 61)],
        [range(61, 77), range(77, 91)],
    ]
    for number in range(-(-700 // n)):
        for part in np.random.default_rng(number).permutation(3):
            for group in groups[part]:
                chosen = [i for i in group if not test[i]]
                model.partial_fit(x[chosen], data.labels[chosen], np.arange(4))
    check(data, model.predict(x), settings)
    assert set(rows(data)["method"]) == {"SGD"}


def test_images_are_learned_in_the_order_of_their_ids(data: Embedded) -> None:
    job = item(data, "narrow")
    found, labels = layer_task._gathered(job, layer_task._images(job))
    keys = [tuple(key) for key in image_keys(91).tolist()]
    order = sorted(np.flatnonzero(~to_test(data, Probe())), key=lambda image: keys[image])
    np.testing.assert_allclose(found, vectors(data, Probe(), "narrow")[order], rtol=1e-15)
    assert labels.tolist() == data.labels[order].tolist()


@pytest.mark.parametrize("streams", [True, False])
def test_without_features_it_is_the_largest_class(data: Embedded, streams: bool) -> None:
    outcome = probe_layer(item(data, "none", streams=streams))
    found = rows(data)
    assert set(found["method"]) == {"majority"}
    assert set(found["n_features"]) == {0}
    assert found["correct"].tolist() == [12, 12, 0, 0, 0]  # three in ten of forty images
    assert outcome.counts["features"] == 0


def test_one_class_is_always_right(tmp_path: Path) -> None:
    layers = {"narrow": np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)}
    data = embed(tmp_path, layers, [0] * 7, [7])
    probe_layer(item(data, "narrow"))
    found = rows(data)
    assert set(found["method"]) == {"majority"}
    assert found[["n_test", "correct", "accuracy"]].to_numpy().tolist() == [[2, 2, 1]] * 2

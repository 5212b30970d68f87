"""One set of features, probed without Spark, against scikit-learn on plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, t
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsOneClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from kdsspark.config import Probe
from kdsspark.output import parquet
from kdsspark.stages.probe import classifier
from kdsspark.stages.probe.layer_task import ProbeItem, probe_layer
from kdsspark.stats.accuracy.split import images_to_test, random_places
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
    source = item(data, "narrow").source()
    keys = [tuple(key) for key in image_keys(91).tolist()]
    order = sorted(range(91), key=lambda image: keys[image])
    ((places, found),) = source.batches()
    assert places == slice(0, 91)
    np.testing.assert_allclose(found, vectors(data, Probe(), "narrow")[order], rtol=1e-15)
    assert source.labels.tolist() == data.labels[order].tolist()
    assert [tuple(key) for key in source.keys.tolist()] == sorted(keys)


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


FOLDS = {
    "svm": {"classifier": "svm"},
    "svm_pairs": {"classifier": "svm_pairs", "c": 0.5},
    "softmax": {"classifier": "softmax", "c": 3.0},
    "knn": {"classifier": "knn"},
    "few to train with": {"train_per_class": 4, "max_test": 9},
    "fewer than a class has": {"train_per_class": 25},
}


def plain_model(settings: Probe, x: NDArray[Any], y: NDArray[Any]) -> Any:
    """What scikit-learn has for it, fitted."""
    svm = LinearSVC(C=settings.c, dual="auto", max_iter=2000, random_state=0)
    if settings.classifier == "svm":
        return svm.fit(x, y)
    if settings.classifier == "svm_pairs":
        return OneVsOneClassifier(svm).fit(x, y)
    if settings.classifier == "softmax":
        return LogisticRegression(C=settings.c, max_iter=2000).fit(x, y)
    weights = lambda distance: np.exp((1 - distance) / 0.07)  # noqa: E731
    k = min(20, len(x))
    model = KNeighborsClassifier(k, weights=weights, metric="cosine", algorithm="brute")
    return model.fit(x, y)


@pytest.mark.parametrize("changed", FOLDS.values(), ids=FOLDS)
def test_folds_are_splits_of_their_own(data: Embedded, changed: dict[str, Any]) -> None:
    settings = Probe(folds=3, seed=2, **changed)
    probe_layer(item(data, "wide", settings=settings))
    found, x = rows(data), vectors(data, settings, "wide")
    shares = []
    for fold in range(3):
        places = random_places(data.keys, data.labels, 2, fold)
        sizes = np.bincount(data.labels)[data.labels]
        m = settings.train_per_class
        n_train = sizes - np.maximum(1, np.floor(0.3 * sizes + 0.5)) if m is None else m
        n_train = np.where(sizes == 1, 1, np.minimum(n_train, sizes - 1))
        trained = places >= sizes - n_train
        tested = ~trained & (places < (settings.max_test or 99))
        order = np.array(sorted(np.flatnonzero(trained), key=image_id))
        guess = plain_model(settings, x[order], data.labels[order]).predict(x)
        right = (guess == data.labels)[tested]
        of_class = [right[data.labels[tested] == c] for c in range(3)]
        shares.append([right.mean(), *(own.mean() for own in of_class)])
        sizes_of = [int((trained & (data.labels == c)).sum()) for c in range(4)]
        assert found["n_train"].tolist() == [sum(sizes_of), *sizes_of]
        assert found["n_test"].tolist()[:4] == [3 * len(right), *(3 * len(o) for o in of_class)]
    mean, deviation = np.mean(shares, axis=0), np.std(shares, axis=0, ddof=1)
    np.testing.assert_allclose(found["accuracy"].iloc[:4], mean, rtol=1e-12)
    np.testing.assert_allclose(found["deviation"].iloc[:4], deviation, rtol=1e-9, atol=1e-15)
    assert found.loc[-1, "mean_of_classes"] == pytest.approx(np.mean(shares, axis=0)[1:].mean())
    ends = t.interval(0.95, 2, mean, np.maximum(deviation, 1e-12) / np.sqrt(3))
    np.testing.assert_allclose(found["low"].iloc[:4], np.clip(ends[0], 0, 1), atol=1e-9)
    np.testing.assert_allclose(found["high"].iloc[:4], np.clip(ends[1], 0, 1), atol=1e-9)
    assert (found["folds"] == 3).all()


def test_the_method_of_pairs_and_whether_all_converged(
    data: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Probe(classifier="svm_pairs", c=None)
    done = probe_layer(item(data, "wide", settings=settings))
    assert set(rows(data)["method"]) == {"LinearSVC pairs"}
    assert rows(data).loc[-1, "c"] in {0.01, 0.1, 1.0, 10.0, 100.0}
    assert done.counts["converged"] == 1
    monkeypatch.setattr(classifier, "_MOST_ITERATIONS", 1)
    assert probe_layer(item(data, "wide", settings=settings)).counts["converged"] == 0


def test_one_split_has_wilsons_interval(data: Embedded) -> None:
    probe_layer(item(data, "wide"))
    row = rows(data).loc[-1]
    ends = binomtest(int(row["correct"]), int(row["n_test"])).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))
    assert np.isnan(row["deviation"])
    assert (row["folds"], row["c"]) == (1, 1.0)


def test_the_penalty_is_the_best_of_four_fold_cross_validation(data: Embedded) -> None:
    settings = Probe(c=None, train_per_class=8)
    probe_layer(item(data, "wide", settings=settings))
    x, places = vectors(data, settings, "wide"), random_places(data.keys, data.labels, 0)
    sizes = np.bincount(data.labels)[data.labels]
    trained = places >= sizes - np.where(sizes == 1, 1, 8)
    inner = random_places(data.keys, data.labels, 0, 1)
    part = np.full(91, -1)
    for c in range(4):
        own = np.flatnonzero(trained & (data.labels == c))
        part[own[np.argsort(inner[own])]] = np.arange(len(own)) % 4
    right = []
    for c in (0.01, 0.1, 1.0, 10.0, 100.0):
        n = 0
        for k in range(4):
            rest = np.array(sorted(np.flatnonzero(trained & (part != k)), key=image_id))
            model = LinearSVC(C=c, dual="auto", max_iter=2000, random_state=0)
            guess = model.fit(x[rest], data.labels[rest]).predict(x[part == k])
            n += (guess == data.labels[part == k]).sum()
        right.append(n)
    expected = (0.01, 0.1, 1.0, 10.0, 100.0)[int(np.argmax(right))]
    assert rows(data).loc[-1, "c"] == expected


@pytest.mark.parametrize("kind", ["knn", "softmax", "svm_pairs"])
def test_what_does_not_fit_in_memory_is_learned_too(
    data: Embedded, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_FEWEST_STEPS", 2000)
    probe_layer(item(data, "wide", settings=Probe(classifier=kind)))
    fitting = rows(data)
    probe_layer(item(data, "wide", settings=Probe(classifier=kind), streams=True))
    found = rows(data)
    if kind == "knn":
        pd.testing.assert_frame_equal(found, fitting)
    else:
        assert set(found["method"]) == {"SGD"}
        assert abs(found.loc[-1, "accuracy"] - fitting.loc[-1, "accuracy"]) < 0.25


@pytest.mark.parametrize("changed", FOLDS.values(), ids=FOLDS)
def test_one_image_of_each_class_leaves_none_to_test_with(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    layers = {"narrow": np.eye(3, dtype=np.float32)}
    data = embed(tmp_path, layers, [0, 1, 2], [3])
    probe_layer(item(data, "narrow", settings=Probe(folds=2, **changed)))
    found = rows(data)
    assert found["n_test"].tolist() == [0] * 4
    assert found[["accuracy", "low", "high", "mean_of_classes"]].isna().all(axis=None)

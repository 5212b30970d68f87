"""Accuracy on principal components against scikit-learn used directly, and hand-made vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from kdsspark.config import Probe
from kdsspark.output.arrow import image_keys
from kdsspark.pipeline.study import Study
from kdsspark.stages.experiments import dimensions
from kdsspark.stages.experiments.dimensions import components_of, dimensions_of_layer
from kdsspark.stages.probe import classifier
from kdsspark.stages.probe.vectors import Streamed, WholeVectors
from kdsspark.stats.accuracy.split import images_to_test
from kdsspark.tables import DIMENSIONS, EMBEDDINGS
from tests.stages.experiments import studies


@pytest.fixture(scope="module")
def done(study: Study) -> Study:
    return studies.experiment(study, "dimensions")


def test_it_is_what_scikit_learn_says(done: Study) -> None:
    rows = studies.embeddings(done)
    labels = rows["class_id"].to_numpy()
    ids = studies.parquet.read(done.output, EMBEDDINGS).sort_by("image_id")["image_id"]
    tested = images_to_test(image_keys(ids), labels, 0.3, 0)
    x = normalize(np.nan_to_num(studies.values(rows, "wide"), nan=0.0))
    found = studies.table(done, DIMENSIONS)
    found = found[found["layer"] == "wide"].set_index(["reduced", "dimensions"])
    assert sorted(found.index) == [(False, 12), (True, 1), (True, 2), (True, 4), (True, 8)]
    model = PCA(12, random_state=0).fit(x[~tested])

    def accuracy(vectors: np.ndarray) -> float:
        machine = LinearSVC(C=1.0, dual="auto", max_iter=2000, random_state=0)
        machine.fit(vectors[~tested], labels[~tested])
        return float((machine.predict(vectors[tested]) == labels[tested]).mean())

    full = accuracy(x)
    for (reduced, k), row in found.iterrows():  # type: ignore[misc]
        expected = accuracy(model.transform(x)[:, :k]) if reduced else full
        assert row["accuracy"] == pytest.approx(expected), (reduced, k)
        assert row["share"] == pytest.approx(expected / full)
        assert row["low"] < row["accuracy"] < row["high"]
        assert row["n_test"] == tested.sum()


def test_folds_have_components_of_their_own(study: Study) -> None:
    made = studies.experiment(study, "dimensions", probe=Probe(folds=3))
    found = studies.table(made, DIMENSIONS)
    assert (found["folds"] == 3).all()
    reduced = dimensions._Reduce()
    (item, *_) = dimensions.plan(made.output, made.config, studies.PAIR).items
    source = item.source()  # type: ignore[attr-defined]
    for trained in (np.arange(53) < 20, np.arange(53) < 40, np.arange(53) < 20):
        reduced(source, trained)
    assert len(reduced.known) == 2
    studies.experiment(study, "dimensions")


def _vectors(n: int, width: int, rank: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, width)) * 3 + 5


@pytest.mark.parametrize(("n", "width"), [(60, 9), (7, 30)], ids=["wide", "more features"])
def test_components_carry_the_variance_in_order(n: int, width: int) -> None:
    x = _vectors(n, width, 3)
    keys = np.arange(2 * n, dtype=np.uint64).reshape(n, 2)
    trained = np.arange(n) % 3 > 0
    found = components_of(WholeVectors(keys, np.zeros(n, np.int32), x), trained)
    assert found.axes.shape == (min(width, trained.sum()), width)
    projected = (x[trained] - found.mean) @ found.axes.T
    variance = projected.var(axis=0)
    assert (variance[:3] > 1e-3).all()
    assert (variance[3:] < 1e-9).all()  # it has three dimensions
    assert variance.sum() == pytest.approx(x[trained].var(axis=0).sum())


def test_what_does_not_fit_in_memory_gives_the_same_space() -> None:
    x = _vectors(80, 6, 3)
    keys, labels = np.arange(160, dtype=np.uint64).reshape(80, 2), np.zeros(80, np.int32)
    parts = {"a": x[:33], "b": x[33:70], "c": x[70:]}
    streamed = Streamed(
        keys, labels, 6, [("a", 0), ("b", 33), ("c", 70)], lambda path: iter([parts[path]])
    )
    trained = np.arange(80) % 5 > 0
    whole = components_of(WholeVectors(keys, labels, x), trained)
    found = components_of(streamed, trained)
    np.testing.assert_allclose(found.mean, whole.mean)
    for k in (1, 2, 3):
        a, b = found.axes[:k], whole.axes[:k]
        np.testing.assert_allclose(a.T @ a, b.T @ b, atol=1e-8)


def test_beyond_memory_accuracies_are_written_too(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_FEWEST_STEPS", 0)  # a model as good as any
    (item, *_) = dimensions.plan(study.output, study.config, studies.PAIR).items
    before = studies.table(study, DIMENSIONS)
    outcome = dimensions_of_layer(replace(item, streams=True))  # type: ignore[type-var]
    assert outcome.counts["trials"] == 5
    found = studies.table(study, DIMENSIONS)
    assert set(found.loc[found["layer"] == "wide", "method"]) == {"SGD"}
    assert len(found) == len(before)
    dimensions_of_layer(item)


BAD = {
    "one class": ([9], 4),
    "one image a class": ([1, 1, 1], 2),
    "more features than images": ([2, 2], 2),
}


@pytest.mark.parametrize("name", BAD)
def test_few_images_have_few_dimensions(folder: Path, name: str) -> None:
    sizes, most = BAD[name]
    made = studies.experiment(studies.make(folder, sizes), "dimensions")
    found = studies.table(made, DIMENSIONS)
    wide = found[found["layer"] == "wide"]
    assert wide.loc[wide["reduced"], "dimensions"].max() == most
    assert wide.loc[~wide["reduced"], "dimensions"].tolist() == [12]

"""Retrieval against scikit-learn used directly, and hand-made layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import normalize

from kdsspark.config import Probe
from kdsspark.errors import DatasetError
from kdsspark.output.arrow import image_keys
from kdsspark.pipeline.study import Study
from kdsspark.stages.experiments.fitting import FittingImages
from kdsspark.stages.experiments.nearest import retrieval
from kdsspark.stages.experiments.nearest.retrieval import (
    n_components,
    retrieval_of_layer,
    whitened,
)
from kdsspark.stats.accuracy.split import images_to_test
from kdsspark.tables import EMBEDDINGS, RETRIEVAL
from tests.stages.experiments import studies


@pytest.fixture(scope="module")
def done(study: Study) -> Study:
    return studies.experiment(study, "retrieval")


@pytest.mark.parametrize(("layer", "k"), [("wide", 8), ("narrow", 2)])
def test_it_is_what_scikit_learn_says(done: Study, layer: str, k: int) -> None:
    rows = studies.embeddings(done)
    labels = rows["class_id"].to_numpy()
    ids = studies.parquet.read(done.output, EMBEDDINGS).sort_by("image_id")["image_id"]
    tested = images_to_test(image_keys(ids), labels, 0.3, 0)
    x = normalize(np.nan_to_num(studies.values(rows, layer), nan=0.0))
    model = PCA(k, whiten=True, random_state=0).fit(x[~tested])
    found = studies.table(done, RETRIEVAL)
    found = found[found["layer"] == layer].set_index("whitened")
    for is_whitened, vectors in ((False, x), (True, normalize(model.transform(x)))):
        distances = euclidean_distances(vectors)
        precisions = []
        for query in np.flatnonzero(tested):
            others = np.arange(len(x)) != query
            relevant = labels[others] == labels[query]
            precisions.append(average_precision_score(relevant, -distances[query][others]))
        row = found.loc[is_whitened]
        assert row["mean_average_precision"] == pytest.approx(np.mean(precisions), rel=1e-6)
        assert row["low"] < row["mean_average_precision"] < row["high"]
        assert row["dimensions"] == (k if is_whitened else x.shape[1])
        assert (row["n_images"], row["n_queries"]) == (53, tested.sum())
        assert 0 < row["chance"] < row["mean_average_precision"]


def test_the_settings_of_the_probe_split_the_images(study: Study) -> None:
    made = studies.experiment(study, "retrieval", probe=Probe(max_test=2, signed_root=True))
    assert set(studies.table(made, RETRIEVAL)["n_queries"]) == {2 * 3}
    before = studies.table(made, RETRIEVAL)
    # Vectors have a length of 1 here, whatever classifiers learn from.
    made = studies.experiment(study, "retrieval", probe=Probe(max_test=2, l2=False))
    assert studies.table(made, RETRIEVAL).equals(before)
    studies.experiment(study, "retrieval")


def test_beyond_memory_equally_many_of_each_class_take_part(study: Study) -> None:
    (item, *_) = retrieval.plan(study.output, study.config, studies.PAIR).items
    outcome = retrieval_of_layer(replace(item, most=20))  # type: ignore[type-var]
    assert outcome.counts["images"] == 5 + 5 + 1 + 5
    found = studies.table(study, RETRIEVAL)
    assert set(found.loc[found["layer"] == "wide", "n_images"]) == {16}
    retrieval_of_layer(item)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n_trained", "width", "k"),
    [(37, 12, 8), (37, 3, 2), (1, 9, 1), (2, 9, 1), (5, 9, 2), (9000, 4096, 512), (9000, 512, 512)],
)
def test_components_are_at_most_half_the_training_images(
    n_trained: int, width: int, k: int
) -> None:
    assert n_components(n_trained, width) == k


def _whitened(vectors: np.ndarray, trained: np.ndarray) -> np.ndarray:
    n = len(vectors)
    keys = np.arange(2 * n, dtype=np.uint64).reshape(n, 2)
    return whitened(FittingImages(keys, np.zeros(n, np.int32), ()), vectors, trained)


def test_whitened_components_vary_equally_and_constant_layers_have_none() -> None:
    rng = np.random.default_rng(3)
    trained = np.arange(400) % 4 > 0
    x = rng.normal(size=(400, 4)) * [100, 10, 1, 0] + 5
    found = _whitened(x[:, None], trained)[:, 0]
    assert found.shape == (400, 3)  # the fourth does not vary
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose((found[trained] ** 2).mean(axis=0), 1 / 3, atol=0.05)
    assert _whitened(np.full((400, 2, 3), 0.5), trained).shape == (400, 2, 0)


def test_all_windows_of_training_images_are_whitened_alike() -> None:
    rng = np.random.default_rng(4)
    trained = np.arange(90) % 3 > 0
    x = rng.normal(size=(90, 5, 4)) * [9, 3, 1, 0.5] + 2
    model = PCA(4, whiten=True).fit(x[trained].reshape(-1, 4))
    expected = normalize(model.transform(x.reshape(-1, 4))).reshape(x.shape)
    # A component may point the other way.
    np.testing.assert_allclose(np.abs(_whitened(x, trained)), np.abs(expected), rtol=1e-6)


def test_one_image_a_class_is_refused_in_one_line(folder: Path) -> None:
    made = studies.make(folder, [1, 1, 1])
    with pytest.raises(DatasetError) as caught:
        studies.experiment(made, "retrieval")
    assert str(caught.value) == (
        "dataset birds: retrieval needs a class with two images, got one image a class"
    )
    assert not made.output.files("retrieval")


def test_one_query_has_no_interval(folder: Path) -> None:
    made = studies.experiment(studies.make(folder, [2, 1]), "retrieval")
    found = studies.table(made, RETRIEVAL)
    assert set(found["n_queries"]) == {1}
    assert found["low"].isna().all()
    assert found["high"].isna().all()
    assert found["mean_average_precision"].between(0.5, 1).all()

"""Vectors made of files of maps, in memory or streamed, and the fit on them; without Spark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages.experiments.ablations import ablation_of_layer
from kdsspark.stages.experiments.spatial.fit_task import FormColumn, source_of
from kdsspark.stages.probe import classifier
from kdsspark.tables import ABLATIONS
from tests.stages.experiments import maps


def test_beyond_memory_a_stochastic_solver_reads_the_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_FEWEST_STEPS", 2000)
    output = Output.at(str(folder))
    of, labels = maps.quadrants(40, 4)
    parts = maps.write(output, of, labels, "maps")
    n_features, n_images = of[0].size, len(of)
    wide = np.tile(of, (1, 3, 1, 1))  # more features than images
    for memory, methods in (
        (1 << 30, "LinearSVC"),
        (40 * n_features * n_images, "LinearSVC"),
        (40 * n_features * n_images - 1, "SGD"),
    ):
        ablation_of_layer(replace(maps.item(output, "as_is", parts), memory=memory))
        (row,) = parquet.read(output, ABLATIONS).to_pylist()
        assert (row["method"], row["accuracy"]) == (methods, 1.0)
    parts = maps.write(output, wide, labels, "maps")
    assert wide[0].size > n_images
    for memory, method in ((1 << 30, "LinearSVC"), (1, "SGD")):
        ablation_of_layer(replace(maps.item(output, "as_is", parts), memory=memory))
        (row,) = parquet.read(output, ABLATIONS).to_pylist()
        assert (row["method"], row["accuracy"]) == (method, 1.0)


@pytest.mark.parametrize("memory", [1 << 30, 1])
def test_vectors_are_the_normalised_maps_or_have_the_same_products(
    folder: Path, memory: int
) -> None:
    rng = np.random.default_rng(0)
    of, labels = rng.normal(size=(40, 4, 6, 6)), rng.integers(0, 3, 40)
    output = Output.at(str(folder))
    parts = maps.write(output, of, labels, "maps")
    stored = np.array(parquet.read_file(output, *parts)["l"].to_pylist())
    expected, width = normalize(stored), stored.shape[1]
    settings = maps.item(output, "as_is", parts).settings
    read = FormColumn(output, "l", width, lambda values, _: values, settings)
    found = source_of(read, parts, memory)
    assert found.streams == (memory == 1)
    vectors = np.empty((40, found.n_features))
    for some, batch in found.batches():
        vectors[some] = batch
    ids = parquet.read_file(output, *parts)["image_id"].to_pylist()
    row_of = {tuple(key): n for n, key in enumerate(maps.keys_of(ids).tolist())}
    rows = [row_of[tuple(key)] for key in found.keys.tolist()]
    assert found.labels.tolist() == labels[rows].tolist()
    if memory == 1:
        np.testing.assert_allclose(vectors, expected[rows], atol=1e-6)
    else:
        assert found.n_features <= 40 < width
        assert rows == sorted(rows, key=lambda n: ids[n])
    np.testing.assert_allclose(
        vectors @ vectors.T, expected[rows] @ expected[rows].T, rtol=1e-5, atol=1e-5
    )


def test_a_class_with_two_images_is_needed(folder: Path) -> None:
    output = Output.at(str(folder))
    parts = maps.write(output, np.ones((3, 2, 6, 6)), np.arange(3), "maps")
    with pytest.raises(DatasetError, match="dataset set: ablations needs a class with two images"):
        ablation_of_layer(maps.item(output, "as_is", parts))

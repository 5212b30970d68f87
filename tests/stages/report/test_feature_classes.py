"""The histograms of chosen features and classes, against numpy over the embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark import config
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.pipeline.study import Study
from kdsspark.report.data import FeatureClass
from kdsspark.stages.report.feature_classes import read_bins, read_feature_classes
from tests.studies import run_here, write_embeddings

NAMES = ['quote " & <script>', "a/b\u9ce5 'c'", "plain"]
LABELS = [NAMES[i] for i in (0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2)]
VALUES = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
VALUES[0, 1] = np.nan
VALUES[:, 3] = np.nan

Wanted = tuple[str, str, int, str]


def two_networks(folder: Path, histograms: bool = True) -> config.Config:
    """One dataset by network ``one`` (layers x, y) and another by ``two`` (layer x)."""
    layers = {"x": VALUES, "y": VALUES[:, :2] + 1}
    write_embeddings(folder / "one.parquet", layers, LABELS)
    write_embeddings(folder / "two.parquet", {"x": VALUES[:, :2]}, ["only"] * 12)
    datasets = [
        {"name": "mine", "embeddings": str(folder / "one.parquet"), "network": "one"},
        {"name": "mono", "embeddings": str(folder / "two.parquet"), "network": "two"},
    ]
    measure = {"bins": 10, "histograms": histograms}
    return config.parse({"output": str(folder / "out"), "datasets": datasets, "measure": measure})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_here(two_networks(tmp_path_factory.mktemp("chosen")))


def read(study: Study, *wanted: Wanted) -> list[FeatureClass]:
    return read_feature_classes(study.output, study.config, wanted)


def test_bins_are_those_of_numpy(study: Study) -> None:
    got, mono = read(study, ("mine", "x", 1, NAMES[1]), ("mono", "x", 0, "only"))
    assert (got.network, got.dataset, got.layer, got.unit) == ("one", "mine", "x", 1)
    assert got.class_name == NAMES[1]
    values, inside = VALUES[:, 1].astype(float), np.array(LABELS) == NAMES[1]
    finite = ~np.isnan(values)
    bounds = (np.nanmin(values), np.nanmax(values))
    for side, images in (("inner", inside), ("outer", ~inside)):
        counts, edges = np.histogram(values[finite & images], 10, bounds)
        assert got.bins[side].tolist() == counts.tolist()
        np.testing.assert_allclose(got.bins["lo"], edges[:-1], rtol=1e-12)
        np.testing.assert_allclose(got.bins["hi"], edges[1:], rtol=1e-12)
    assert (mono.network, mono.bins["inner"].sum()) == ("two", 12)
    assert mono.bins["outer"].tolist() == [0] * 10  # a dataset of one class


def test_nothing_wanted_asks_nothing(study: Study) -> None:
    assert read(study) == []
    assert read_bins(study.output, []) == {}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("other", "x", 0, "a"), "dataset must be one of mine, mono, got 'other'"),
        (("mine", "z", 0, "a"), "layer of dataset mine must be one of x, y, got 'z'"),
        (("mono", "y", 0, "only"), "layer of dataset mono must be one of x, got 'y'"),
        (("mine", "y", 2, "plain"), "unit of y must be from 0 to 1, got 2"),
        (("mine", "y", -1, "plain"), "unit of y must be from 0 to 1, got -1"),
        (("mine", "x", 0, "Plain"), "class of dataset mine must be one of .*plain.*got 'Plain'"),
    ],
)
def test_what_is_not_there_is_named(study: Study, wanted: Wanted, message: str) -> None:
    with pytest.raises(ConfigError, match=f"--pair: {message}"):
        read(study, wanted)


def test_a_feature_without_finite_values_cannot_be_drawn(study: Study) -> None:
    with pytest.raises(DatasetError, match="no histogram of unit 3 of x for class 'plain'"):
        read(study, ("mine", "x", 3, "plain"))


@pytest.mark.usefixtures("spark")
def test_histograms_are_needed(tmp_path: Path) -> None:
    study = run_here(two_networks(tmp_path, histograms=False), "index embed measure")
    with pytest.raises(DatasetError, match=r"needs measure\.histograms"):
        read(study, ("mine", "x", 0, "plain"))

"""The configurations of the papers: valid, and with the networks and datasets that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsspark.config import load

CONF = Path(__file__).parents[2] / "conf"
DATASETS = {
    "zeiler": ["caltech101", "caltech256"],
    "agrawal": ["voc2007-boxes"],
    "azizpour": ["mit67", "catsdogs", "cub200", "flowers102"],
}


@pytest.mark.parametrize("name", DATASETS)
def test_it_is_valid(name: str) -> None:
    loaded = load(str(CONF / f"{name}.yaml"))
    assert [dataset.name for dataset in loaded.datasets] == DATASETS[name]
    assert [network.architecture for network in loaded.networks] == ["alexnet"]
    assert loaded.output == f"out/{name}"


def test_settings_are_those_of_the_papers() -> None:
    zeiler, agrawal, azizpour = (load(str(CONF / f"{name}.yaml")) for name in DATASETS)
    assert (zeiler.experiments.folds, zeiler.experiments.max_test) == (5, 50)
    assert {15, 30, 45, 60} <= set(zeiler.experiments.train_per_class)
    assert (agrawal.networks[0].pooling, agrawal.networks[0].crops) == ("max", "center")
    assert (azizpour.probe.c, azizpour.probe.signed_root) == (None, True)
    assert [dataset.rank for dataset in azizpour.datasets] == [1, 3, 3, 3]

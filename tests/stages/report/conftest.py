"""One study whose report is drawn once, by Spark."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from kdsspark import config
from kdsspark.pipeline.study import Study
from kdsspark.stats.distances import DISTANCES
from tests.studies import (
    image_config,
    run_here,
    write_embeddings,
    write_images,
    write_images_and_a_broken_one,
)

SIZES = {"few": 20, "some": 150, "<most>": 230}
LABELS = [name for name, size in SIZES.items() for _ in range(size)]
FEW = slice(0, SIZES["few"])
OTHERS = slice(SIZES["few"], None)
ARTIFICE = {"comb": 0, "outlier": 1, "both ends": 2}  # units of layer x that were made up
DRAWN = [("one", "x", ARTIFICE["both ends"], "few")]


def made_up() -> NDArray[np.float32]:
    """[images, units]: classes that are shifted at random, but for three units."""
    rng = np.random.default_rng(0)
    shifts = rng.normal(0, 0.7, (len(SIZES), 30)).repeat(list(SIZES.values()), axis=0)
    values = rng.normal(size=shifts.shape) + shifts
    # In every fifth of 100 bins, where no other image is: among the others, and in bins of its own.
    values[FEW, 0] = np.arange(20) * 5 + 2.5
    values[OTHERS, 0] = rng.integers(0, 20, 380) * 5 + rng.choice([0.5, 1.5, 3.5, 4.5], 380)
    # Above all others, but for one of them that is far above.
    values[FEW, 1], values[OTHERS, 1] = rng.uniform(0.8, 1, 20), rng.uniform(0, 0.4, 380)
    values[-1, 1] = 40
    # As often above all others as below.
    values[FEW, 2], values[OTHERS, 2] = np.tile([-1, 1], 10), rng.uniform(-0.9, 0.9, 380)
    return values.astype(np.float32)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Study:  # noqa: ARG001
    """Two datasets of one network; in the second, no class is unlike the others."""
    folder = tmp_path_factory.mktemp("drawn")
    noise = np.random.default_rng(1).normal(size=(400, 36)).astype(np.float32)
    layers = {"x": noise[:40, :30], "y": noise[:40, 30:]}
    write_embeddings(folder / "one.parquet", {"x": made_up(), "y": noise[:, 30:]}, LABELS)
    write_embeddings(folder / "two.parquet", layers, ["a", "b"] * 20)
    datasets = [
        {"name": name, "embeddings": str(folder / f"{name}.parquet")} for name in ("one", "two")
    ]
    measure = {"distances": list(DISTANCES), "shuffles": 2}
    raw = {"output": str(folder / "out"), "datasets": datasets, "measure": measure}
    done = run_here(config.parse(raw))
    drawn = Study(done.config, drawn=DRAWN)
    drawn.do("report")
    return drawn


@pytest.fixture(scope="session")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Images of two datasets and their exemplars, made without Spark.

    In ``fruit``, an apple has a copy, and another file is no image.
    """
    folder = tmp_path_factory.mktemp("pictured")
    write_images_and_a_broken_one(folder / "fruit", {"apple": 11, "pear": 10, "quince": 2})
    shutil.copy(folder / "fruit/apple/000.png", folder / "fruit/apple/copy.png")
    write_images(folder / "wood", {"elm": 4, "oak": 4}, seed=1)
    folders = {name: folder / name for name in ("fruit", "wood")}
    measure = {"bins": 20, "shuffles": 2}
    made = image_config(folder / "out", folders, measure=measure, report={"units": 6})
    return run_here(made, "index embed measure summarize exemplars")


@pytest.fixture(scope="session")
def site(study: Study) -> Path:
    """The report of the study."""
    return Path(study.output.path("report"))

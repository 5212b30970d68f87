"""A study of images whose tables are made once, without Spark."""

from __future__ import annotations

import shutil

import pytest

from kdsspark.pipeline.study import Study
from tests.inprocess import without_spark
from tests.studies import (
    image_config,
    run_here,
    write_images,
    write_images_and_a_broken_one,
)


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
    study = run_here(made, "index embed measure summarize exemplars")
    with without_spark():
        assert study.context, "made here, its session is none of Spark"
    return study

"""One study for the views: images, manifests and ready-made embeddings, with awkward names."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline import records
from kdsspark.pipeline.study import Study
from kdsspark.query import views
from kdsspark.tables import KS, TABLES
from tests.studies import NETWORK, image_config, run_here, write_embeddings, write_images

OBJECTS = {"apple": 6, "fish": 5, "sky": 4}
NAMES = {"apple": ["apple", "it's"], "fish": ['a/b "c"', "<script>é\\😀=1;</script>"]}
VGG = {**NETWORK, "name": "vgg16", "layers": {"fire9": "features.0", "fc7": "features.6"}}


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Folders and manifests of images, embeddings of float64 with a layer of the same name."""
    folder = tmp_path_factory.mktemp("views") / "out [1] {x}*?"
    write_images(folder / "objects", OBJECTS)
    (folder / "objects" / "fish" / "empty.jpg").touch()
    datasets: list[dict[str, Any]] = [{"name": "objects", "path": str(folder / "objects")}]
    for which, name in enumerate(("scenes", "patterns")):
        rows = [
            (path, NAMES[path.parent.name][which])
            for path in folder.rglob("*.png")
            if path.parent.name in NAMES
        ]
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
        path = str(folder / f"{name}.csv")
        datasets.append({"name": name, "path": path, "layout": "manifest"})
    values = np.random.default_rng(3).normal(size=(9, 4))
    values[0, 0] = np.nan
    write_embeddings(folder / "one.parquet", {"fire9": values, "a.b": values}, ["only"] * 9)
    datasets.append({"name": "one", "embeddings": str(folder / "one.parquet"), "network": "clip"})
    config = image_config(folder / "out", {}, networks=[VGG], datasets=datasets)
    done = run_here(config)
    records.write(done.output, records.Run("run", config).ended(0))
    return done


@pytest.fixture(scope="session")
def opened(study: Study, spark: SparkSession) -> SparkSession:
    return views.opened(spark, study.output)


@pytest.fixture(scope="session")
def feature_classes(study: Study) -> pd.DataFrame:
    """True labels with a distance, by pandas, with everything that views join to them."""
    ks = parquet.read(study.output, KS).to_pandas()
    ks = ks[(ks["labels"] == "true") & ks["ks"].notna()]
    images = parquet.read(study.output, TABLES["images"]).to_pandas()
    names = images[["dataset", "class_id", "class_name"]].drop_duplicates()
    features = parquet.read(study.output, TABLES["features"]).to_pandas()
    frame = ks.merge(names, on=["dataset", "class_id"])
    return frame.merge(features, on=["network", "layer", "unit"])


@pytest.fixture
def indexed(study: Study, tmp_path: Path) -> Output:
    """An output with nothing but its index."""
    shutil.copytree(Path(study.output.path("images")), tmp_path / "out" / "images")
    return Output.at(str(tmp_path / "out"))

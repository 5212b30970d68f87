"""Small studies for the tests: generated images, a small network, ready-made embeddings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from kdsspark import config
from kdsspark.config import Config
from kdsspark.pipeline.study import Study
from kdsspark.report.data import ReportData
from kdsspark.report.queries import FAILURES
from kdsspark.stages.report import gathering
from kdsspark.stages.report import stage as reporting
from tests.inprocess import without_spark

NETWORK = {
    "name": "tiny",
    "architecture": "squeezenet1_1",
    "weights": "random",
    "crops": "center",
    "layers": {"conv1": "features.0", "fire4": "features.6"},
    "preprocessing": {"resize": 40, "crop": 32},
}
# A shard of four images takes long enough to be caught in the middle.
SLOW = {**NETWORK, "crops": "ten", "preprocessing": {"resize": 168, "crop": 160}}


def write_images(folder: Path, classes: dict[str, int], seed: int = 0) -> None:
    """``{class: number}`` -> folder of class folders with small noisy pictures, kept if there."""
    for class_id, (name, number) in enumerate(sorted(classes.items())):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(number):
            path = folder / name / f"{i:03d}.png"
            rng = np.random.default_rng([seed, class_id, i])
            shade = 40 + 150 * (class_id % 3) // 2
            pixels = rng.integers(0, 60, (48, 40 + i % 9, 3)) + shade
            if not path.exists():
                Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_images_and_a_broken_one(folder: Path, classes: dict[str, int]) -> Path:
    """The same, with a file of the class "apple" that is no image; returns the folder."""
    write_images(folder, classes)
    (folder / "apple" / "broken.jpg").write_bytes(b"not an image")
    return folder


def image_config(output: Path | str, folders: Mapping[str, Path | str], **sections: Any) -> Config:
    """A configuration of the small network and folders of images."""
    datasets = [{"name": name, "path": str(path)} for name, path in folders.items()]
    raw = {"output": str(output), "networks": [NETWORK], "datasets": datasets}
    # One image a forward pass: rounding then cannot depend on which images share a batch.
    return config.parse(raw | {"embed": {"max_failures": 1.0, "batch_images": 1}} | sections)


def write_config(study_config: Config, folder: Path) -> Path:
    """The configuration as ``study.yaml`` in a folder."""
    file = folder / "study.yaml"
    text = yaml.safe_dump(study_config.model_dump(mode="json"), sort_keys=False)
    file.write_text(text)  # the order of layers is that of features
    return file


def command(study_config: Config, folder: Path, stage: str = "run") -> list[str]:
    """What a user types; the configuration is written into the folder."""
    file = write_config(study_config, folder)
    return [sys.executable, "-m", "kdsspark", stage, "--config", str(file)]


def write_embeddings(
    path: Path, layers: dict[str, NDArray[Any]], labels: list[str], ids: list[str] | None = None
) -> None:
    """Ready-made embeddings: ``layers`` are [images, units] of any float type."""
    columns: dict[str, Any] = {"class_name": labels}
    if ids:
        columns["image_id"] = ids
    for name, values in layers.items():
        flat = pa.array(values.ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def run(study_config: Config, stages: str = "index embed measure summarize") -> Study:
    """Run some stages as the command does, without the lock."""
    study = Study(study_config)
    study.settle()
    for stage in stages.split():
        study.do(stage)
    return study


def run_here(study_config: Config, stages: str = "index embed measure summarize") -> Study:
    """The same in this process, without Spark; what is done with the result may use Spark."""
    with without_spark():
        run(study_config, stages)
    return Study(study_config)


@contextmanager
def short_report() -> Iterator[None]:
    """Reports in the block ask one query and are two small files, instead of 15 seconds' work.

    The first page is the configuration, as reports show it.
    """

    def render(data: ReportData, _: object) -> Iterator[tuple[str, bytes]]:
        yield "index.html", data.run["configuration"].encode()
        yield "data/given/x.csv", b"x\n"

    with pytest.MonkeyPatch.context() as patch:
        queries = {"failures": FAILURES, "class_extremes": FAILURES}
        patch.setattr(reporting, "QUERIES", queries)
        patch.setattr(gathering, "galleries", MagicMock(CHOOSES_FROM=()))
        patch.setattr(gathering, "curves", MagicMock())
        patch.setattr(gathering, "rest", MagicMock())
        patch.setattr("kdsspark.report.site.figures", lambda _: [])
        patch.setattr("kdsspark.report.site.render", render)
        yield

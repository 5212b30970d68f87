"""A study of ready-made embeddings for the experiments: two layers, four classes, three parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdsspark import config
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.tables import EMBEDDINGS, Table
from tests.studies import NETWORK, image_config, run, write_embeddings, write_images

PAIR = Pair("clip", "birds")
CLASSES = ["<b>", "a/b", "one", "Übung"]  # in the order of their numbers
SIZES = [24, 16, 1, 12]


def layers(labels: NDArray[np.int64], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Rectified features that know a little of the classes, and constant ones."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=(len(CLASSES), 12))
    wide = np.maximum(rng.normal(size=(len(labels), 12)) + 0.8 * shift[labels], 0)
    wide[:, 11] = 0
    wide[rng.random(len(labels)) < 0.1, 10] = np.nan
    narrow = np.column_stack([labels == 1, np.full(len(labels), 2), rng.random(len(labels))])
    return {"wide": wide.astype(np.float32), "narrow": narrow.astype(np.float32)}


def make(folder: Path, sizes: list[int] | None = None, **sections: object) -> Study:
    """Indexed, embedded, measured and summarized in this process."""
    sizes = SIZES if sizes is None else sizes
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    values = layers(labels)
    for part, rows in enumerate(np.array_split(np.arange(len(labels)), 3)):
        write_embeddings(
            folder / "birds" / f"part{part}.parquet",
            {name: values[name][rows] for name in values},
            [CLASSES[label] for label in labels[rows]],
            [f"image {row}" for row in rows],
        )
    datasets = [{"name": "birds", "embeddings": str(folder / "birds"), "network": "clip"}]
    return run(config.parse({"output": str(folder / "out"), "datasets": datasets} | sections))


def of_networks(folder: Path, *names: str) -> Study:
    """Images of two classes, embedded by small networks of random weights, and summarized."""
    write_images(folder / "birds", {"a": 6, "b": 5})
    networks = [NETWORK | {"name": name, "seed": seed} for seed, name in enumerate(names)]
    made = image_config(folder / "out", {"birds": folder / "birds"}, networks=networks)
    return run(made)


def copied(study: Study, output: Path) -> Study:
    """The same with a copy of its output."""
    shutil.copytree(study.output.path(), output)
    return Study(study.config.model_copy(update={"output": str(output)}))


def experiment(study: Study, name: str, **sections: object) -> Study:
    """Do one, perhaps with other settings."""
    changed = Study(study.config.model_copy(update=sections))
    changed.do(f"experiment {name}")
    return changed


def table(study: Study, of: Table) -> pd.DataFrame:
    frame: pd.DataFrame = parquet.read(study.output, of).to_pandas()
    return frame


def embeddings(study: Study) -> pd.DataFrame:
    """The embeddings in the order of the ids."""
    frame: pd.DataFrame = parquet.read(study.output, EMBEDDINGS).sort_by("image_id").to_pandas()
    return frame


def values(rows: pd.DataFrame, layer: str) -> NDArray[np.float64]:
    """[images, features] of one layer, as float64."""
    found: NDArray[np.float64] = np.stack(rows[layer].to_list()).astype(np.float64)
    return found

"""What the tests of the stage ``exemplars`` share: small studies, and the rows of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kdsspark.config import Config
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.tables import EXEMPLARS as TABLE
from tests.stages.exemplars import plain
from tests.studies import image_config, write_embeddings

ALL = "index embed exemplars"
PAIR = Pair("tiny", "set")
N_SHARDS = 4  # of 14 images and one that is none, as small datasets are cut


def config_of(folder: Path, out: str = "out", **sections: Any) -> Config:
    return image_config(folder.parent / out, {"set": folder}, **sections)


def rows_of(output: Output, pair: Pair = PAIR) -> list[plain.Row]:
    """The table, unit by unit."""
    found = parquet.read(output, TABLE, *pair).drop(["network", "dataset"])
    order = {name: depth for depth, name in enumerate(["conv1", "fire4", "l", "m"])}
    rows: list[plain.Row] = found.to_pylist()
    return sorted(rows, key=lambda row: (order[row["layer"]], row["unit"], row["rank"]))


def ready_made(folder: Path) -> tuple[Config, dict[str, np.ndarray[Any, Any]]]:
    """Two files with ties, undefined values, and values that differ in float64 alone."""
    rng = np.random.default_rng(0)
    values = {"l": rng.integers(-3, 3, (150, 4)).astype(np.float32), "m": rng.random((150, 2))}
    values["l"][rng.random((150, 4)) < 0.1] = np.nan
    values["l"][:, 3] = np.where(np.arange(150) < 145, np.inf, -1)
    values["m"][:, 1] = 1 + np.arange(150) * 1e-12
    for file, rows in (("one", slice(0, 100)), ("two", slice(100, 150))):
        ids = [f"{(37 * i) % 150:03d}" for i in range(150)]
        some = {name: layer[rows] for name, layer in values.items()}
        write_embeddings(
            folder / "mine" / f"{file}.parquet", some, (["x", "y"] * 75)[rows], ids[rows]
        )
    datasets = [{"name": "mine", "embeddings": str(folder / "mine")}]
    return image_config(folder / "out", {}, networks=[], datasets=datasets), values

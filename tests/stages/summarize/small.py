"""A small dataset with distances, and the tables that follow from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages.summarize.dataset_task import SummaryItem, summarize_dataset
from kdsspark.tables import Table
from tests.stages.embedded import PAIR, embed
from tests.stages.summarize.measured import Slices, write_distances

SIZES = [6, 5, 4, 0]  # images of each class; the last has none
VALUES = [600, 500, 400, 0]  # of each class, as `ks` has them; samples of 6 have few distances
SHUFFLES = 3
LAYERS_OF = {"conv": ["conv-0", "conv-1"], "fc": ["fc-0"]}


def distances() -> Slices:
    """True distances spread wider than shuffled ones; a unit without any, and a class."""
    rng = np.random.default_rng(4)

    def ks(units: int) -> NDArray[np.float64]:
        found = np.clip(rng.normal(0, 0.2, (units, len(SIZES), 1 + SHUFFLES)), -1, 1)
        found[:, :, 0] = np.clip(2.5 * found[:, :, 0], -1, 1)
        found[:, 3] = np.nan
        return found

    first, second, third = ks(5), ks(4), ks(7)
    second[2] = np.nan
    third[0, 0, 0], third[1, 1, 0], third[2, 2, 0] = 1, -1, 0
    return {"conv-0": ("conv", 0, first), "conv-1": ("conv", 5, second), "fc-0": ("fc", 0, third)}


def item(output: Output, **changed: Any) -> SummaryItem:
    fields: dict[str, Any] = {
        "name": PAIR.name,
        "digest": "d",
        "output": output,
        "pair": PAIR,
        "layers": LAYERS_OF,
        "kinds": {"conv": "conv", "fc": "fc"},
        "n_images": sum(SIZES),
        "classes": len(SIZES),
        "shuffles": SHUFFLES,
        "keep_shuffled": True,
    }
    return SummaryItem(**fields | changed)


def summarized(folder: Path, slices: Slices, keep_shuffled: bool = True) -> Output:
    labels = np.repeat(range(len(SIZES)), SIZES).tolist()
    output = embed(folder, {"conv": np.zeros((15, 1), np.float32)}, labels, [9, 6]).output
    write_distances(output, slices, VALUES, keep_shuffled)
    summarize_dataset(item(output, keep_shuffled=keep_shuffled))
    return output


def frame(output: Output, table: Table) -> pd.DataFrame:
    return parquet.read(output, table, *PAIR[: len(table.partitioned_by)]).to_pandas()

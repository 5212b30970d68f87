"""Ready-made embeddings as columns of Parquet, and how they are read."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kdsspark.config import EmbeddingsDataset
from kdsspark.datasets import readymade
from kdsspark.datasets.readymade import Source
from kdsspark.errors import DatasetError, KdssparkError
from tests.datasets.refused import refused

Values = np.ndarray


FLOATS = {"half": np.float16, "single": np.float32, "double": np.float64}


def values(rows: int, width: int, kind: str = "single", seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(FLOATS[kind])


def lists(matrix: Values, shape: str = "list") -> pa.Array:
    flat = pa.array(matrix.ravel())
    if shape == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    offsets = np.arange(0, matrix.size + 1, matrix.shape[1])
    if shape == "large":
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), flat)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def save(path: Path, columns: dict[str, Any], **options: Any) -> EmbeddingsDataset:
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table(columns), path, **options)
    return EmbeddingsDataset(name="mine", embeddings=str(path), label="label")


def labels(n: int) -> list[str]:
    return [f"c{row % 3}" for row in range(n)]


def read(source: Source, rows: int = 4) -> dict[str, Values]:
    """Layer -> all values, [rows, units], read through every file in pieces."""
    pieces = [piece for path in source.files for piece in readymade.batches(source, path, rows)]
    for piece in pieces:
        for name, array in piece.items():
            assert pa.types.is_list(array.type)
            assert array.type.value_type == source.value_types[name]
            assert len(array) <= rows
            assert array.offsets[0].as_py() == 0
    return {
        name: np.concatenate([np.array(piece[name].to_pylist()) for piece in pieces])
        for name in source.widths
    }


def read_everything(dataset: EmbeddingsDataset) -> None:
    source = readymade.source(dataset)
    list(readymade.listing(source))
    read(source)


def refusal(dataset: EmbeddingsDataset, kind: type[KdssparkError] = DatasetError) -> str:
    """What reading everything says, after the name of the dataset."""
    return refused(lambda: read_everything(dataset), kind)

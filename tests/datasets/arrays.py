"""Ready-made embeddings as ``.npy`` arrays, and how they are read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kdsspark.config import EmbeddingsDataset
from kdsspark.datasets import readymade
from kdsspark.datasets.readymade import Source
from kdsspark.errors import DatasetError, KdssparkError
from tests.datasets.refused import refused

Values = np.ndarray


CLIP = {
    "img_emb": ("img_emb/img_emb_{}.npy", 5),
    "text_emb": ("text_emb/text_emb_{}.npy", 3),
}


def values(rows: int, width: int, dtype: str = "<f4", seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(dtype)


def save(root: Path, name: str, array: Values) -> None:
    (root / name).parent.mkdir(exist_ok=True, parents=True)
    np.save(root / name, array)


def save_metadata(root: Path, name: str, rows: int) -> None:
    """As clip-retrieval writes it, with a column of classes."""
    (root / name).parent.mkdir(exist_ok=True, parents=True)
    columns = {
        "image_path": [f"{row:09d}" for row in range(rows)],
        "caption": ["a picture"] * rows,
        "class_name": [f"c{row % 3}" for row in range(rows)],
    }
    pq.write_table(pa.table(columns), root / name)


def save_clip(root: Path, sizes: list[int], dtype: str = "<f2") -> dict[str, list[Values]]:
    """The output of clip-retrieval in as many parts as ``sizes``: layer -> its arrays."""
    saved: dict[str, list[Values]] = {layer: [] for layer in CLIP}
    for part, rows in enumerate(sizes):
        save_metadata(root, f"metadata/metadata_{part}.parquet", rows)
        for layer, (name, width) in CLIP.items():
            saved[layer].append(values(rows, width, dtype, seed=width + 100 * part))
            save(root, name.format(part), saved[layer][part])
    return saved


def mine(root: Path | str) -> EmbeddingsDataset:
    return EmbeddingsDataset(name="mine", embeddings=str(root))


def read(source: Source, rows: int = 4) -> dict[str, Values]:
    """Layer -> all values, [rows, units], read through every file in pieces."""
    pieces = [piece for path in source.files for piece in readymade.batches(source, path, rows)]
    for piece in pieces:
        for name, array in piece.items():
            assert array.type.value_type == source.value_types[name]
            assert len(array) <= rows
    return {
        name: np.concatenate([np.array(piece[name].to_pylist()) for piece in pieces])
        for name in source.widths
    }


def index(root: Path | str) -> None:
    """What the index stage reads: no value."""
    list(readymade.listing(readymade.source(mine(root))))


def refusal(root: Path | str, kind: type[KdssparkError] = DatasetError) -> str:
    """What indexing says, after the name of the dataset, without the root."""
    return refused(lambda: index(root), kind).replace(f"{root}/", "")

"""All distances of a pair as one matrix, for what compares whole classes or units (driver)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.tables import KS, SIGNIFICANCE

_AT_ONCE = 4  # files


def read(
    output: Output, pair: Pair, firsts: Mapping[str, int], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """``ks`` of the true labels and ``q``, float32 [classes, features].

    ``firsts``: layer -> its first feature. Undefined distances are 0, undefined ``q`` are NaN.
    """
    ks = _matrix(output, output.files(KS.partition(*pair, "true")), "ks", firsts, shape)
    q = _matrix(output, output.files(SIGNIFICANCE.partition(*pair)), "q", firsts, shape)
    return np.nan_to_num(ks, nan=0.0), q


def _matrix(
    output: Output,
    paths: Sequence[str],
    column: str,
    firsts: Mapping[str, int],
    shape: tuple[int, int],
) -> npt.NDArray[np.float32]:
    found = np.full(shape, np.nan, np.float32)

    def fill(path: str) -> None:
        for rows in parquet.row_groups(output, path, ["layer", "unit", "class_id", column]):
            layers = rows["layer"].combine_chunks().dictionary_encode()
            first = np.array([firsts[name] for name in layers.dictionary.to_pylist()], np.int64)
            feature = first[layers.indices.to_numpy()] + rows["unit"].to_numpy()
            found[rows["class_id"].to_numpy(), feature] = rows[column].to_numpy()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(fill, paths))
    return found

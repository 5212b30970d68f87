"""Arrow columns as numpy arrays and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def flat_values(lists: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The values of a column of lists, one after the other; a copy only of several chunks."""
    chunks = [chunk.flatten().to_numpy(zero_copy_only=True) for chunk in lists.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def image_keys(ids: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """``image_id`` (32 hex digits) as uint64 [images, 2]."""
    digits = "".join(ids.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), ">u8").reshape(-1, 2).astype(np.uint64)

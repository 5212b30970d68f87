"""The filters of a network's first layer, drawn as colours (driver)."""

from __future__ import annotations

import io
import json
from typing import IO, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import load

from kdsspark.config import Config
from kdsspark.network.spec import NetworkSpec
from kdsspark.output.output import Output
from kdsspark.stages.embed.networks import saved_networks

_SCALE: Final = 64  # pixels of a filter, about
_GAP: Final = 4
_COLUMNS: Final = 16


def of_networks(output: Output, config: Config) -> dict[str, bytes]:
    """Network -> the filters of its first layer as PNG, where that layer reads colours."""
    found = {}
    for name, spec in saved_networks(output, config).items():
        weights = _first(output, spec)
        if weights is not None:
            found[name] = drawn(weights)
    return found


def _first(output: Output, spec: NetworkSpec) -> npt.NDArray[np.float32] | None:
    """Float32 [units, 3, height, width]; None where the first layer has no such filters."""
    path = output.read_json(output.network(spec.name))["weights"]
    with output.fs.open(output.path(path), "rb") as file:
        found = _tensor(file, f"{spec.layers[0].module}.weight")
    if found is None or found.ndim != 4 or found.shape[1] != 3:
        return None
    return found[:, ::-1] if spec.preprocessing.channels == "bgr" else found


def _tensor(file: IO[bytes], name: str) -> npt.NDArray[np.float32] | None:
    """One tensor of a file of weights, without the others, which may be half a gigabyte."""
    size = int.from_bytes(file.read(8), "little")
    header = file.read(size)
    found = json.loads(header).get(name)
    if found is None:
        return None
    start, end = found["data_offsets"]
    file.seek(8 + size + start)
    alone = json.dumps({name: found | {"data_offsets": [0, end - start]}}).encode()
    return load(len(alone).to_bytes(8, "little") + alone + file.read(end - start))[name]


def drawn(weights: npt.NDArray[np.float32]) -> bytes:
    """[units, 3, height, width] as PNG, 16 a row; grey is 0, all are stretched alike."""
    far = float(np.abs(weights).max()) or 1.0
    colours = np.round(127.5 + 127.5 * weights / far).astype(np.uint8).transpose(0, 2, 3, 1)
    scale = max(1, _SCALE // colours.shape[1])
    large = colours.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width, _ = large.shape
    rows = -(-n // _COLUMNS)
    shape = rows * (height + _GAP) - _GAP, min(n, _COLUMNS) * (width + _GAP) - _GAP, 3
    canvas = np.full(shape, 255, np.uint8)
    for i, one in enumerate(large):
        y, x = i // _COLUMNS * (height + _GAP), i % _COLUMNS * (width + _GAP)
        canvas[y : y + height, x : x + width] = one
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()

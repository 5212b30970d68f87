"""A network prepared from a configuration, with its weights in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdsspark.config import Network
from kdsspark.network.spec import NetworkSpec
from kdsspark.network.weights import prepare


def prepared(folder: Path, **keys: Any) -> NetworkSpec:
    defaults = {"name": "n", "weights": "random", "layers": "blocks", "crops": "center"}
    return prepare(Network(**{**defaults, **keys}), folder / "n.safetensors")

"""A study of ready-made embeddings, of two networks and two datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark import config
from tests.studies import run_here, write_embeddings

N_IMAGES = 24


def raw_study(folder: Path) -> dict[str, Any]:
    """Write embeddings; a configuration of them, as YAML would give it."""
    rng = np.random.default_rng(0)
    datasets = []
    for network, layers in (("clip", {"image": 3, "text.v2": 2}), ("dino", {"cls": 4})):
        for name in ("birds", "fruit"):
            values = {layer: rng.normal(size=(N_IMAGES, width)) for layer, width in layers.items()}
            path = folder / f"{network}-{name}.parquet"
            write_embeddings(path, values, [f"{name} {i % 3}" for i in range(N_IMAGES)])
            dataset = f"{name}-{network}"
            datasets.append({"name": dataset, "embeddings": str(path), "network": network})
    return {"output": str(folder / "out"), "datasets": datasets}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = raw_study(tmp_path_factory.mktemp("study"))
    run_here(config.parse(raw))
    return Path(raw["output"])

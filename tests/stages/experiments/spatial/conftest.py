"""What the tests of experiments with maps share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.network.extractor import Extractor
from kdsspark.pipeline.study import Study
from tests.stages.experiments import maps
from tests.studies import run, write_images


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the network for maps, call by call."""
    numbers: list[int] = []
    forward = Extractor.__call__

    def counted(self: Extractor, images: list[np.ndarray]) -> dict[str, np.ndarray]:
        if self.spec.pooling in ("grids", "maps"):
            numbers.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    return numbers


@pytest.fixture
def embedded(folder: Path, read: list[int]) -> Study:  # noqa: ARG001
    write_images(folder / "set", {"a": 6, "b": 5})
    return run(maps.config_of(folder / "set"), maps.ALL)

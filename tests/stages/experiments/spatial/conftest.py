"""What the tests of experiments with maps share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.network.extractor import Extractor
from kdsspark.pipeline.study import Study
from tests.stages.experiments import studies
from tests.stages.experiments.spatial.both import embedded_in


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    return embedded_in(tmp_path_factory.mktemp("spatial"))


@pytest.fixture
def embedded(made: Study, folder: Path, read: list[int]) -> Study:  # noqa: ARG001
    """It has an output of its own, and images that others read, too."""
    return studies.copied(made, folder / "copy")

"""One study for all experiments on chosen images."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsspark.pipeline.study import Study
from tests.stages.experiments.chosen import seen


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    return seen.make(tmp_path_factory.mktemp("chosen"))


@pytest.fixture
def folder(tmp_path: Path, task: object) -> Path:  # noqa: ARG001
    return tmp_path

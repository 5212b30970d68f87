"""One study for all experiments."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsspark.pipeline.study import Study
from tests.stages.experiments import studies


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    return studies.make(tmp_path_factory.mktemp("experiments"))


@pytest.fixture
def folder(tmp_path: Path, task: object) -> Path:  # noqa: ARG001
    return tmp_path

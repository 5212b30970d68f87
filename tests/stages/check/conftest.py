"""What the tests of the stage ``check`` share: an output to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages import check
from kdsspark.stages.check import CheckItem
from tests.stages.check.damage import PAIR, UNITS, study_config
from tests.studies import run, write_embeddings


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    """Sixteen images of three classes; unit 2 is not finite in two of them."""
    folder = tmp_path_factory.mktemp("check")
    values = np.random.default_rng(7).normal(size=(16, UNITS)).astype(np.float32)
    values[[3, 5], 2] = np.nan, np.inf
    write_embeddings(folder / "set.parquet", {"fc": values}, [*"aaaaaabbbbbccccc"])
    return run(study_config(folder), "index embed measure")


@pytest.fixture
def output(tmp_path: Path, finished: Study) -> Output:
    """A copy of the finished output, to be damaged."""
    shutil.copytree(finished.output.path(), tmp_path / "out")
    return Output.at(str(tmp_path / "out"))


@pytest.fixture
def items(output: Output, finished: Study) -> list[CheckItem]:
    return list(check.plan(output, finished.config, PAIR).items)

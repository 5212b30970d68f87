"""``spark-submit`` of the jobs to a cluster whose workers do not see the source."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kdsspark.config import Config
from kdsspark.storage.files import Store
from tests.cluster.standalone import Cluster
from tests.cluster.workplace import JOBS, Workplace
from tests.pipeline.test_runs import assert_same, tables
from tests.studies import image_config, run


def said(ended: subprocess.CompletedProcess[str]) -> str:
    """What a job wrote, without Spark's log."""
    lines = (ended.stdout + ended.stderr).splitlines()
    return "\n".join(line for line in lines if " INFO " not in line)[-4000:]


def study_config(output: Path, images: Path) -> Config:
    return image_config(output, {"set": images}, measure={"shuffles": 2})


@pytest.fixture(scope="module")
def local(
    tmp_path_factory: pytest.TempPathFactory,
    images: Path,
    spark: Any,  # noqa: ARG001 (of the run)
) -> dict[str, pd.DataFrame]:
    output = tmp_path_factory.mktemp("local") / "out"
    return tables(run(study_config(output, images)).store)


def test_a_run_on_a_cluster_gives_the_tables_of_a_local_one(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    local: dict[str, pd.DataFrame],
    tmp_path: Path,
) -> None:
    config = study_config(tmp_path / "out", images)
    workplace.configure(config)
    ended = workplace.submit(cluster, "run")
    assert ended.returncode == 0, said(ended)
    assert_same(tables(Store.at(config.output)), local)
    assert (tmp_path / "out" / "report" / "index.html").exists()
    assert "report:" in ended.stdout


@pytest.mark.cluster
def test_every_job_can_be_submitted_and_does_nothing_twice(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    local: dict[str, pd.DataFrame],
    tmp_path: Path,
) -> None:
    config = study_config(tmp_path / "out", images)
    workplace.configure(config)
    for job in JOBS:
        ended = workplace.submit(cluster, job)
        assert ended.returncode == 0, f"{job}: {said(ended)}"
    store = Store.at(config.output)
    assert_same(tables(store), local)
    assert "0 images in" in ended.stderr or "embed:" not in ended.stderr

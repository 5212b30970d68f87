"""What goes wrong on clusters: no wrong number, no half table, and the next run completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pandas as pd
import pytest

from kdsspark.engine.stage import Stage
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED, MEASURE
from tests.cluster.conftest import STAGES
from tests.cluster.processes import kill, session_of
from tests.cluster.standalone import Cluster, standalone
from tests.cluster.workplace import (
    SECONDS,
    Workplace,
    assert_whole,
    study_config,
    without_log,
)
from tests.pipeline.test_runs import tables
from tests.studies import SLOW, run_here

pytestmark = pytest.mark.cluster

# Every layer is a work item of `measure`: with so many of them it can be caught in the middle.
_MODULES: Final = (3, 4, 6, 7, 9, 10, 11, 12)
DEEP: Final = {**SLOW, "layers": {f"layer{n}": f"features.{n}" for n in _MODULES}}


@pytest.fixture
def two_workers(tmp_path: Path, workplace: Workplace) -> Iterator[Cluster]:
    """A cluster of the test's own, of which a worker may die."""
    with standalone(tmp_path / "cluster", workers=2, cores=1, env=workplace.env) as started:
        yield started


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert process.poll() is None, f"ended undisturbed: {without_log(log.read_text())}"
        assert time.monotonic() < deadline, without_log(log.read_text())
        time.sleep(0.02)


def finished(output: Output, stage: Stage) -> int:
    return len(stage.receipts(output).all())


@pytest.fixture(scope="module")
def deep(
    tmp_path_factory: pytest.TempPathFactory,
    images: Path,
) -> Study:
    """What DEEP gives here, without Spark."""
    return run_here(study_config(tmp_path_factory.mktemp("deep") / "out", images, DEEP), STAGES)


@pytest.mark.parametrize("stage", [EMBED, MEASURE], ids=["embed", "measure"])
def test_a_worker_is_killed_and_the_run_goes_on(
    two_workers: Cluster,
    workplace: Workplace,
    images: Path,
    deep: Study,
    tmp_path: Path,
    stage: Stage,
) -> None:
    config = study_config(tmp_path / "out", images, DEEP)
    output, log = Output.at(config.output), tmp_path / "log"
    process = workplace.start(two_workers, config, "run", log)
    wait_until(lambda: finished(output, stage) >= 1, process, log)
    kill(session_of(two_workers.workers[0].pid))  # its executors and their Python, too
    assert finished(output, stage) < finished(deep.output, stage)
    assert process.wait(SECONDS) == 0, without_log(log.read_text())
    assert "Lost executor" in log.read_text()
    assert_whole(config, tables(deep.output))


def test_the_driver_is_killed_and_submitted_again(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    undisturbed: dict[str, pd.DataFrame],
    tmp_path: Path,
) -> None:
    config = study_config(tmp_path / "out", images)
    output, log = Output.at(config.output), tmp_path / "log"
    process = workplace.start(cluster, config, "run", log)
    wait_until(lambda: finished(output, EMBED) >= 2, process, log)
    kill(session_of(process.pid))
    process.wait()
    before = finished(output, EMBED)
    workplace.submit(cluster, config, "run")
    assert before < finished(output, EMBED)
    assert_whole(config, undisturbed)


def test_of_two_runs_at_once_one_completes_and_the_other_is_refused(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    undisturbed: dict[str, pd.DataFrame],
    tmp_path: Path,
) -> None:
    config = study_config(tmp_path / "out", images)
    logs = [tmp_path / "one", tmp_path / "other"]
    both = [workplace.start(cluster, config, "run", log) for log in logs]
    codes = [process.wait(SECONDS) for process in both]
    said = [without_log(log.read_text()) for log in logs]
    assert sorted(codes) == [0, 1], said
    refused = said[codes.index(1)].strip().splitlines()
    assert "must have one run at a time, got a second" in refused[-1]
    assert_whole(config, undisturbed)


def shift(folder: Path, seconds: float) -> None:
    """Move the times of all files."""
    for path in folder.rglob("*"):
        if path.is_file():
            time_then = path.stat().st_mtime + seconds
            os.utime(path, (time_then, time_then))


def test_clocks_that_disagree_change_nothing(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    undisturbed: dict[str, pd.DataFrame],
    tmp_path: Path,
) -> None:
    pictures = tmp_path / "images"
    shutil.copytree(images, pictures)
    shift(pictures, 86_400.0)  # written by a machine that is a day ahead
    config = study_config(tmp_path / "out", pictures)
    output = Output.at(config.output)
    workplace.submit(cluster, config, "run")
    assert_whole(config, undisturbed)
    shift(tmp_path / "out", -2 * 86_400.0)  # ... into a store that is a day behind
    before = EMBED.receipts(output).all()
    workplace.submit(cluster, config, "run")
    assert_whole(config, undisturbed)
    assert EMBED.receipts(output).all() == before

    replaced, other = sorted((pictures / "d=e").iterdir())[:2]
    shutil.copy(other, replaced)
    os.utime(replaced, (0, 0))  # new content that says it is old
    workplace.submit(cluster, config, "run")
    assert EMBED.receipts(output).all() != before
    fresh = study_config(tmp_path / "fresh", pictures)
    assert_whole(config, tables(run_here(fresh, STAGES).output))

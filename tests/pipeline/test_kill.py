"""Shards whose processes are killed with -9 in the middle, several times; and shards run twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytest

from kdsspark.config import Config
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED
from tests.cluster.processes import executors, kill, python_workers, session_of
from tests.cluster.standalone import ROOT, SPARK_HOME, Cluster, _daemon, environment, standalone
from tests.pipeline.test_runs import assert_same, tables, when
from tests.studies import SLOW, image_config, run_here, write_config, write_images

pytestmark = pytest.mark.cluster  # each takes half a minute and more
SHARDS: Final = 20
_SECONDS: Final = 900  # until a test gives up


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, {"a": 30, "b": 28, "c": 20})
    for name in ("x.png", "y.jpg"):
        (folder / "a" / name).write_bytes(b"no image")
    return folder


def study_config(output: Path, images: Path) -> Config:
    return image_config(output, {"set": images}, networks=[SLOW])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, images: Path) -> dict[str, pd.DataFrame]:
    return tables(run_here(study_config(tmp_path_factory.mktemp("whole") / "out", images)).output)


@dataclass
class Disturbed:
    """Stage ``embed`` in processes of its own."""

    config: Config
    folder: Path  # where the output lies
    process: subprocess.Popen[bytes]

    @property
    def study(self) -> Study:
        return Study(self.config)

    def finished(self) -> int:
        return len(list(self.folder.glob("out/_receipts/embed/*/*/*.json")))

    def wait_for(self, shards: int) -> dict[str, int]:
        """The files of finished shards, with their times, when there are so many."""
        deadline = time.monotonic() + _SECONDS
        while self.finished() < shards:
            assert self.process.poll() is None, "the run ended before it could be disturbed"
            assert time.monotonic() < deadline, f"no {shards} shards were finished in time"
            time.sleep(0.01)
        return self._written()

    def _written(self) -> dict[str, int]:
        names = {path.rpartition("/")[2].removesuffix(".json") for path in self._receipts()}
        files = when(self.study, "embeddings") | when(self.study, "failures")
        return {p: t for p, t in files.items() if p.rpartition("/")[2][: -len(".parquet")] in names}

    def _receipts(self) -> list[str]:
        return self.study.output.files("_receipts/embed")

    def leave_a_trace(self) -> None:
        """What a writer leaves that is killed while it writes, which takes but a moment here."""
        for table in ("embeddings", "failures"):
            path = self.folder / "out" / table / "network=tiny" / "dataset=set" / ".tmp-0-x.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"PAR1")

    def end(self) -> None:
        assert self.process.wait(_SECONDS) == 0, (self.folder / "log").read_text()

    def hold_against(self, undisturbed: dict[str, pd.DataFrame], before: dict[str, int]) -> None:
        """The tables are right; what was finished was not written again; nothing is left over."""
        after = when(self.study, "")
        assert {path: after.get(path) for path in before} == before
        assert not [path for path in (self.folder / "out").rglob(".tmp-*")]
        found = EMBED.receipts(self.study.output).all()
        assert len(found) == SHARDS
        assert_same(tables(run_here(self.config, "measure summarize check").output), undisturbed)


@dataclass(frozen=True)
class Starter:
    """``start(*command)`` runs ``command --config ...`` on one output, which is indexed."""

    folder: Path
    images: Path

    def __call__(self, *command: str | Path) -> Disturbed:
        config = study_config(self.folder / "out", self.images)
        file = self.folder / "study.yaml"
        if not file.exists():
            write_config(config, self.folder)
            run_here(config, "index")
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*map(os.fspath, command), "--config", str(file)],
                cwd=self.folder,
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Disturbed(config, self.folder, process)


@pytest.fixture
def start(tmp_path: Path, images: Path) -> Iterator[Starter]:
    """Whatever it starts is killed at the end."""
    started: list[Disturbed] = []

    class Remembering(Starter):
        def __call__(self, *command: str | Path) -> Disturbed:
            started.append(super().__call__(*command))
            return started[-1]

    yield Remembering(tmp_path, images)
    for disturbed in started:
        kill(session_of(disturbed.process.pid))


LOCAL: Final = (sys.executable, "-m", "kdsspark", "embed", "--set", "spark.master=local[2]")


# -- tests ---------------------------------------------------------------------------------------


def test_the_driver_is_killed_and_the_next_run_goes_on(
    start: Starter, undisturbed: dict[str, pd.DataFrame]
) -> None:
    before: dict[str, int] = {}
    for shards in (3, 11):
        disturbed = start(*LOCAL)
        before |= disturbed.wait_for(shards)
        disturbed.leave_a_trace()
        kill(session_of(disturbed.process.pid))  # Spark's JVM and its Python workers, too
        disturbed.process.wait()
    assert disturbed.finished() < SHARDS
    last = start(*LOCAL)
    last.end()
    last.hold_against(undisturbed, before)


def test_python_workers_are_killed_and_the_run_goes_on(
    start: Starter, undisturbed: dict[str, pd.DataFrame]
) -> None:
    disturbed = start(*LOCAL)
    before: dict[str, int] = {}
    killed: set[int] = set()
    for shards in (2, 8, 14):
        before |= disturbed.wait_for(shards)
        time.sleep(0.1)  # into the middle of the next
        workers = python_workers(disturbed.process.pid)
        kill(workers)
        killed |= set(workers)
    disturbed.leave_a_trace()
    disturbed.end()
    assert len(killed) >= 3
    disturbed.hold_against(undisturbed, before)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers under different addresses: no task is speculated about on one host twice."""
    folder = tmp_path_factory.mktemp("cluster")
    with standalone(folder, workers=1, cores=2) as one:
        other = ("--host", "127.0.0.2", "--webui-port", "0", "--cores", "2", "--memory", "1g")
        arguments = (*other, "--work-dir", str(folder / "other"), one.url)
        env = {"SPARK_LOCAL_IP": "127.0.0.2"}
        with _daemon(folder / "other", "worker.Worker", arguments, env) as worker:
            yield replace(one, workers=(*one.workers, worker))


def submit(cluster: Cluster, conf: dict[str, object]) -> list[str | Path]:
    settings = [f"--conf={key}={value}" for key, value in conf.items()]
    program = SPARK_HOME / "bin" / "spark-submit"
    return [program, "--master", cluster.url, *settings, ROOT / "jobs" / "embed.py"]


def test_executors_are_killed_and_the_run_goes_on(
    start: Starter, cluster: Cluster, undisturbed: dict[str, pd.DataFrame]
) -> None:
    disturbed = start(*submit(cluster, {}))
    before: dict[str, int] = {}
    killed: set[int] = set()
    for shards in (2, 10):
        before |= disturbed.wait_for(shards)
        time.sleep(0.1)
        running = executors(cluster)
        kill(running[:1])
        killed |= set(running[:1])
    disturbed.leave_a_trace()
    disturbed.end()
    assert len(killed) == 2
    disturbed.hold_against(undisturbed, before)


def test_speculation_changes_nothing(
    start: Starter, cluster: Cluster, undisturbed: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    (tmp_path / "events").mkdir()
    conf = {
        "spark.speculation": "true",
        "spark.speculation.interval": "10ms",
        "spark.speculation.minTaskRuntime": "10ms",
        "spark.speculation.multiplier": "0.1",
        "spark.speculation.quantile": "0.05",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (tmp_path / "events").as_uri(),
        "spark.eventLog.compress": "false",
    }
    disturbed = start(*submit(cluster, conf))
    disturbed.end()
    assert speculated(tmp_path / "events")
    run_here(disturbed.config, "embed")  # clears away what a twin was at when it was killed
    disturbed.hold_against(undisturbed, {})


def speculated(folder: Path) -> list[dict[str, Any]]:
    """The second attempts at tasks that ran, by Spark's log of a run."""
    lines = [
        json.loads(line)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".crc")
        for line in path.read_text().splitlines()
    ]
    starts = [line["Task Info"] for line in lines if line["Event"] == "SparkListenerTaskStart"]
    return [info for info in starts if info["Speculative"]]

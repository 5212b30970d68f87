"""What the tests of the stage ``embed`` share."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsspark.config import Embed
from kdsspark.engine import gpus
from kdsspark.output.output import Output
from kdsspark.stages.embed import image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards import files as shard_files
from tests.inprocess import InProcess, Task
from tests.stages.embed.fakes import COMPUTED_ON, PAIR, SPEC, FakeNetwork, Folder
from tests.stages.embed.world import World


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "images").mkdir()
    return Folder(tmp_path / "images")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, task: Task) -> FakeNetwork:
    """The network of every task here; row groups have three rows."""
    fake, task.n_cpus = FakeNetwork(), 2
    monkeypatch.setattr(image_job, "extractor", lambda _: fake)
    monkeypatch.setattr(image_job, "batch_and_call", lambda job: 2 * (job.settings.batch_images,))
    monkeypatch.setattr(image_job, "computed_on", lambda _: COMPUTED_ON)
    monkeypatch.setattr(shard_files, "_GROUP_BYTES", 4 * 5 * 3)
    return fake


@pytest.fixture
def job(output: Output) -> ImageJob:
    return ImageJob(output, PAIR, SPEC, "", Embed(batch_images=1, image_seconds=5))


@pytest.fixture
def world(
    tmp_path: Path,
    in_process: InProcess,
    network: FakeNetwork,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """The network is prepared; no GPU is looked for."""
    monkeypatch.setattr(gpus, "_gpu_count", lambda: 0)
    made = World(tmp_path, in_process, network)
    weights = made.output.weights("net", "0123")
    with made.output.create(weights) as file:
        file.write(b"x")
    record = {"spec": SPEC.to_dict(), "weights": weights, "source": ""}
    made.output.write_json(made.output.network("net"), record)
    return made

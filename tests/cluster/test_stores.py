"""Images, weights and output on ``gs://`` and ``hdfs://``; what stands for them: stores.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from kdsspark.config import Config
from kdsspark.output.output import Output
from kdsspark.stages import EMBED
from tests.cluster.stores import Files, known
from tests.cluster.workplace import SECONDS
from tests.pipeline.test_runs import assert_same, tables
from tests.studies import NETWORK, image_config, write_config

# A report would read all tables by way of Spark, which takes long and is done on S3 (test_s3.py).
# On HDFS Spark has a client of its own, for which there would have to be servers.
PROGRAM = """
import sys
from kdsspark import config
from kdsspark.engine.starting import session
from kdsspark.output.lock import Lock
from kdsspark.pipeline.study import Study
from kdsspark.query import frames, fsspec_source
from kdsspark.stages import REPORT, RUN, stages_of
from kdsspark.tables import KS

study = Study(config.load(sys.argv[1]))
output = study.output
with Lock(output):
    study.settle()
    for stage in stages_of(RUN):
        if stage is not REPORT:
            study.do(stage.name)
columns = frames.columns(output, KS)
print(fsspec_source.frame(session.start(study.config.spark), output, "ks", columns).count())
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in known(tmp_path / "stores").items():
        monkeypatch.setenv(name, value)


def study(output: str, images: str, weights: str) -> Config:
    network = {**NETWORK, "weights": weights}
    return image_config(output, {"set": images}, networks=[network])


def run(config: Config, folder: Path, expected: dict[str, pd.DataFrame]) -> None:
    """All stages but the report, in a process of its own; Spark sees as many rows as expected."""
    program = [sys.executable, "-c", PROGRAM, write_config(config, folder)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == len(expected["ks"])


@pytest.mark.cluster
@pytest.mark.usefixtures("environment")
def test_a_run_on_gs_gives_the_tables_of_a_local_one(
    images: Path, weights: Path, local: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    objects = Files()
    for path in images.rglob("*.*"):
        objects[f"bucket/images/{path.relative_to(images)}"] = path.read_bytes()
    objects["bucket/weights.safetensors"] = weights.read_bytes()
    root = "gs://bucket"
    config = study(f"{root}/a study/out", f"{root}/images", f"{root}/weights.safetensors")
    for number in ("first", "second"):
        run(config, tmp_path, local)
        for name, data in objects.items():
            path = tmp_path / number / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    first, second = (Output.at(f"{tmp_path}/{n}/bucket/a study/out") for n in ("first", "second"))
    assert_same(tables(first), local)
    assert_same(tables(second), local)
    assert EMBED.receipts(second).all() == EMBED.receipts(first).all()


@pytest.mark.cluster
@pytest.mark.usefixtures("environment")
def test_a_run_on_hdfs_gives_the_tables_of_a_local_one(
    images: Path, weights: Path, local: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    root, output = "hdfs://namenode:8020", f"{tmp_path}/a study/out"
    config = study(f"{root}{output}", f"{root}{images}", f"{root}{weights}")
    here = Output.at(output)
    run(config, tmp_path, local)
    assert_same(tables(here), local)
    before = EMBED.receipts(here).all()
    run(config, tmp_path, local)
    assert EMBED.receipts(here).all() == before
    assert_same(tables(here), local)
    assert not list((tmp_path / "a study").rglob(".tmp-*"))

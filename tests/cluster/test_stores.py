"""Images, weights and output on ``gs://`` and ``hdfs://``; what stands for them: stores.py."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kdsspark.config import Config
from kdsspark.storage import receipts
from kdsspark.storage.files import Store
from tests.cluster.stores import Files, known
from tests.cluster.workplace import run_here
from tests.pipeline.test_runs import assert_same, tables
from tests.studies import NETWORK, image_config

# Spark has a client of its own for HDFS, which would look for the servers: as if it had none.
WITHOUT_CLIENT = {"conf": {"spark.hadoop.fs.hdfs.impl": "none"}}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in known(tmp_path / "stores").items():
        monkeypatch.setenv(name, value)


def study(output: str, images: str, weights: str, **sections: object) -> Config:
    network = {**NETWORK, "weights": weights}
    return image_config(output, {"set": images}, networks=[network], **sections)


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
        run_here(config, tmp_path)
        for name, data in objects.items():
            path = tmp_path / number / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    first, second = (Store.at(f"{tmp_path}/{n}/bucket/a study/out") for n in ("first", "second"))
    assert_same(tables(first), local)
    assert_same(tables(second), local)
    assert first.exists("report/index.html")
    assert receipts.read(second, receipts.EMBED) == receipts.read(first, receipts.EMBED)


@pytest.mark.usefixtures("environment")
def test_a_run_on_hdfs_gives_the_tables_of_a_local_one(
    images: Path, weights: Path, local: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    root, output = "hdfs://namenode:8020", f"{tmp_path}/a study/out"
    config = study(f"{root}{output}", f"{root}{images}", f"{root}{weights}", spark=WITHOUT_CLIENT)
    store = Store.at(output)
    run_here(config, tmp_path)
    assert_same(tables(store), local)
    assert store.exists("report/index.html")
    before = receipts.read(store, receipts.EMBED)
    run_here(config, tmp_path)
    assert receipts.read(store, receipts.EMBED) == before
    assert_same(tables(store), local)
    assert not list((tmp_path / "a study").rglob(".tmp-*"))

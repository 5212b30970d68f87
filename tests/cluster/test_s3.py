"""Images, weights and output on an S3 server, by the command as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torchvision.models import squeezenet1_1

from kdsspark.config import Config
from kdsspark.storage.files import Store
from tests.cluster.s3 import BUCKET, Server, serving
from tests.pipeline.test_runs import assert_same, tables
from tests.studies import NETWORK, image_config, run

TRAINED = {**NETWORK, "weights": "weights.safetensors"}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(squeezenet1_1(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def local(
    tmp_path_factory: pytest.TempPathFactory,
    images: Path,
    weights: Path,
    spark: Any,  # noqa: ARG001 (of the run)
) -> dict[str, pd.DataFrame]:
    output = tmp_path_factory.mktemp("local") / "out"
    network = {**TRAINED, "weights": str(weights)}
    config = image_config(output, {"set": images}, networks=[network])
    return tables(run(config).store)


def uploaded(server: Server, images: Path, weights: Path) -> Config:
    """A configuration of URLs alone, after the files have been put there."""
    for path in images.rglob("*.*"):
        server.client.upload_file(path, BUCKET, f"images/{path.relative_to(images)}")
    server.client.upload_file(weights, BUCKET, "models/weights.safetensors")
    root = f"s3://{BUCKET}"
    raw = image_config(Path("unused"), {"set": images}).model_dump(mode="json")
    raw["output"], raw["datasets"][0]["path"] = f"{root}/a study/out", f"{root}/images"
    raw["networks"][0]["weights"] = f"{root}/models/weights.safetensors"
    return Config.model_validate(raw)


def kdsspark(
    server: Server, config: Config, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [sys.executable, "-m", "kdsspark", *arguments, "--config", str(file)]
    env = {**os.environ, **server.env}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def downloaded(server: Server, folder: Path) -> Store:
    """The output as local files."""
    for page in server.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            path = folder / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            server.client.download_file(BUCKET, item["Key"], str(path))
    return Store.at(str(folder / "a study" / "out"))


def begin_an_upload(server: Server, key: str) -> None:
    """What a killed writer leaves."""
    begun = server.client.create_multipart_upload(Bucket=BUCKET, Key=key)
    part = {"Bucket": BUCKET, "Key": key, "UploadId": begun["UploadId"], "PartNumber": 1}
    server.client.upload_part(Body=b"x" * 100, **part)


def uploads(server: Server) -> list[str]:
    found = server.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return [upload["Key"] for upload in found]


def test_a_run_on_s3_gives_the_tables_of_a_local_one(
    server: Server, images: Path, weights: Path, local: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    config = uploaded(server, images, weights)
    begin_an_upload(server, "a study/out/embeddings/part.parquet")
    begin_an_upload(server, "a study/outside")
    ended = kdsspark(server, config, tmp_path, "run")
    assert ended.returncode == 0, ended.stderr
    assert uploads(server) == ["a study/outside"]
    store = downloaded(server, tmp_path / "copy")
    assert_same(tables(store), local)
    assert store.exists("report/index.html")
    written = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert not [path for path in written if b"testsecret" in path.read_bytes()]
    assert "testsecret" not in ended.stdout + ended.stderr

    server.requests.clear()
    again = kdsspark(server, config, tmp_path, "run")
    assert again.returncode == 0, again.stderr
    assert_same(tables(downloaded(server, tmp_path / "again")), local)


@pytest.mark.cluster
def test_a_store_that_fails_one_request_in_twenty(
    server: Server, images: Path, weights: Path, local: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    config = uploaded(server, images, weights)
    server.fails_each = 20
    ended = kdsspark(server, config, tmp_path, "run")
    server.fails_each = 0
    assert server.requests["failed"] > 10
    assert ended.returncode == 0, ended.stderr
    assert_same(tables(downloaded(server, tmp_path / "copy")), local)

"""Images, weights and output on an S3 server, by the command and on a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from kdsspark.config import Config
from kdsspark.output.output import Output
from kdsspark.stages import EMBED
from tests.cluster.s3 import BUCKET, Server, serving
from tests.cluster.standalone import ROOT, standalone
from tests.cluster.workplace import Workplace, run_here
from tests.pipeline.test_runs import assert_same, tables
from tests.studies import NETWORK, image_config


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


def uploaded(server: Server, images: Path, weights: Path) -> Config:
    """A configuration of URLs alone, after the files have been put there."""
    for path in images.rglob("*.*"):
        server.client.upload_file(path, BUCKET, f"images/{path.relative_to(images)}")
    server.client.upload_file(weights, BUCKET, "models/weights.safetensors")
    root = f"s3://{BUCKET}"
    network = {**NETWORK, "weights": f"{root}/models/weights.safetensors"}
    return image_config(f"{root}/a study/out", {"set": f"{root}/images"}, networks=[network])


def downloaded(server: Server, folder: Path) -> Output:
    """The output as local files."""
    for page in server.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            path = folder / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            server.client.download_file(BUCKET, item["Key"], str(path))
    return Output.at(str(folder / "a study" / "out"))


def begin_an_upload(server: Server, key: str) -> None:
    """What a killed writer leaves."""
    begun = server.client.create_multipart_upload(Bucket=BUCKET, Key=key)
    part = {"Bucket": BUCKET, "Key": key, "UploadId": begun["UploadId"], "PartNumber": 1}
    server.client.upload_part(Body=b"x" * 100, **part)


def uploads(server: Server) -> list[str]:
    found = server.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return [upload["Key"] for upload in found]


def documented_permissions() -> set[str]:
    """The first column of their table in docs/clusters.md."""
    text = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`s3:.+?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`s3:(\w+)`", row)}


@pytest.mark.cluster
def test_a_run_on_s3_gives_the_tables_of_a_local_one(
    server: Server, images: Path, weights: Path, local: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    config = uploaded(server, images, weights)
    begin_an_upload(server, "a study/out/embeddings/part.parquet")
    begin_an_upload(server, "a study/outside")
    server.permissions.clear()
    ended = run_here(config, tmp_path, server.env)
    assert server.permissions == documented_permissions()
    assert uploads(server) == ["a study/outside"]
    first = downloaded(server, tmp_path / "copy")
    assert_same(tables(first), local)
    assert first.exists("report/index.html")
    written = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert not [path for path in written if b"testsecret" in path.read_bytes()]
    assert "testsecret" not in ended.stdout + ended.stderr

    before = server.requests.copy()
    server.requests.clear()
    run_here(config, tmp_path, server.env)
    again = downloaded(server, tmp_path / "again")
    assert_same(tables(again), local)
    assert EMBED.receipts(again).all() == EMBED.receipts(first).all()
    assert server.requests["GET"] < before["GET"]  # neither images nor values are read again
    assert server.requests["PUT"] < before["PUT"]


@pytest.fixture
def informed(workplace: Workplace, server: Server) -> Workplace:
    """What is submitted from here, and workers with its environment, find the server."""
    return replace(workplace, added=server.env)


@pytest.mark.cluster
@pytest.mark.parametrize("fails_each", [0, 20])
def test_a_cluster_on_s3_gives_the_tables_of_a_local_run(
    server: Server,
    informed: Workplace,
    images: Path,
    weights: Path,
    local: dict[str, pd.DataFrame],
    tmp_path: Path,
    fails_each: int,
) -> None:
    config = uploaded(server, images, weights)
    server.fails_each = fails_each
    with standalone(tmp_path / "cluster", workers=2, cores=1, env=informed.env) as cluster:
        ended = informed.submit(cluster, config, "run")
    server.fails_each = 0
    assert server.requests["failed"] > 10 or not fails_each
    first = downloaded(server, tmp_path / "copy")
    assert_same(tables(first), local)
    assert first.exists("report/index.html")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]  # logs of executors, too
    assert not [path for path in written if b"testsecret" in path.read_bytes()]
    assert "testsecret" not in ended.stdout + ended.stderr

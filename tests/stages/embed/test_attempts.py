"""Shards that end the process that works at them: retried apart, and named when given up."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from kdsspark.config import Embed
from kdsspark.engine.work import Outcome, Unit
from kdsspark.images import decoding as images
from kdsspark.images.loading import Pixels
from kdsspark.output import parquet
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages.embed import attempts, shards
from kdsspark.stages.embed import shard_task as embed_images
from kdsspark.stages.embed import stage as embed
from kdsspark.stages.embed.shard_task import ImageJob, embed_shard
from kdsspark.stages.embed.shards import Shard
from kdsspark.tables import EMBEDDINGS, IMAGES
from tests.stages.embed.test_shard_task import SPEC, FakeNetwork, Folder

DEADLY = 3  # the image whose decoder crashes


@pytest.fixture
def job(tmp_path: Path) -> ImageJob:
    store = Store.at(str(tmp_path / "out"))
    return ImageJob(store, "net", "set", SPEC, "", Embed(batch_images=1))


def unit(job: ImageJob, folder: Path, work: object) -> Unit:
    """The unit of a shard of five images."""
    folder.mkdir()
    rows = [Folder(folder).put(number, 10 * number) for number in range(5)]
    table = pa.Table.from_pylist(rows, schema=IMAGES.schema)
    plan = iter([(Shard("shard-1", "d", len(table)), table)])
    (shard,) = shards.write_plan(job.store, f"{attempts.PLANS}/net/set", plan)
    return Unit("net/set/shard-1", "d-0", (work, shard), len(table))


def _crashes(decode: object, deadly: bytes, data: bytes, short_side: int) -> Pixels:
    if data == deadly:
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode(data, short_side)  # type: ignore[operator, no-any-return]


def _with_a_crashing_decoder(job: ImageJob, deadly: bytes, shard: Shard) -> Outcome:
    """As :func:`embed_shard`; decoding in this very process is deadly."""
    plain, extractor = images.decode, embed_images._extractor
    images.decode = partial(_crashes, plain, deadly)  # type: ignore[assignment]
    embed_images._extractor = lambda _: FakeNetwork()  # type: ignore[assignment, return-value]
    try:
        return embed_shard(job, shard)
    finally:
        images.decode, embed_images._extractor = plain, extractor


def test_a_decoder_that_crashes_is_put_apart_at_the_second_attempt(
    spark: SparkSession, job: ImageJob, tmp_path: Path
) -> None:
    work = unit(job, tmp_path / "images", None)
    deadly = (tmp_path / "images" / f"{DEADLY:02d}.png").read_bytes()
    task = partial(_with_a_crashing_decoder, job, deadly)
    (receipt,) = embed.run(spark, job.store, [Unit(work.name, "d-0", (task, work.work[1]))])
    # The child of the second attempt has the plain decoder, which does not crash.
    assert receipt.counts["embedded"] == 5
    rows = parquet.read(job.store, EMBEDDINGS)
    assert rows["image_id"].to_pylist() == [f"{number:02d}" for number in range(5)]
    (note,) = (path for path in job.store.files("_plans") if path.endswith(".json"))
    assert job.store.read_json(note) == {"attempts": 2}


def _dies(job: ImageJob, shard: Shard) -> Outcome:
    attempts.note(job.store, shard)
    os.kill(os.getpid(), signal.SIGKILL)
    return Outcome()


def _raises(job: ImageJob, shard: Shard) -> Outcome:
    attempts.note(job.store, shard)
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (_dies, r"Python worker exited unexpectedly \(crashed\)"),
        (_raises, "OSError: no space left on device"),
    ],
)
def test_the_shard_that_spark_gives_up_is_named(
    spark: SparkSession, job: ImageJob, tmp_path: Path, task: object, reason: str
) -> None:
    work = unit(job, tmp_path / "images", partial(task, job))  # type: ignore[call-overload]
    with pytest.raises(RuntimeError, match=f"^shard net/set/shard-1 failed 4 times, .*: {reason}$"):
        embed.run(spark, job.store, [work])


def test_what_shards_share_is_sent_once(
    spark: SparkSession, job: ImageJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(job, weights="w" * 10_000)
    work = unit(job, tmp_path / "images", partial(embed_shard, job))
    sent: list[Unit] = []

    def run(*arguments: Any) -> list[Receipt]:
        sent.extend(arguments[3])
        return []

    monkeypatch.setattr(embed.units, "run", run)
    embed.run(spark, job.store, [work])
    (light,) = sent
    assert (light.name, light.digest, light.items) == (work.name, work.digest, work.items)
    assert len(pickle.dumps(light)) < 1_000 < 10_000 < len(pickle.dumps(work))

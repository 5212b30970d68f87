"""Shards that end the process that works at them: retried apart, and named when given up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from pyspark.sql import SparkSession

from kdsspark.config import Embed
from kdsspark.engine.items import Outcome
from kdsspark.engine.work import run_items
from kdsspark.errors import DatasetError
from kdsspark.images import decoding
from kdsspark.images.loading import Pixels
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EMBED
from kdsspark.stages.embed import attempts, image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shard_task import ShardItem, embed_shard
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import EMBEDDINGS
from tests.inprocess import Task
from tests.stages.embed.fakes import PAIR, FakeNetwork, Folder, planned, row

# -- without Spark -------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempt", "noted"), [(0, []), (1, [2]), (3, [4])])
def test_attempts_after_the_first_are_noted(
    output: Output, task: Task, attempt: int, noted: list[int]
) -> None:
    task.attempt = attempt
    shard = planned(output, [row(1)], "shard-1")
    attempts.note(output, shard)
    path = "_plans/embed/net/set/tried/shard-1.json"
    assert [output.read_json(p)["attempts"] for p in output.files("_plans") if p == path] == noted
    list(shards.write_plan(output, output.plans("embed", PAIR), iter([])))
    assert output.files("_plans") == []  # notes go with the plan


def note(output: Output, pair: Pair, name: str, tried: int) -> None:
    output.write_json(f"{output.plans('embed', pair)}/tried/{name}.json", {"attempts": tried})


def raised(output: Output, error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught, attempts.named(output):
        raise error
    return caught.value


def test_the_shard_that_was_tried_most_often_is_named(output: Output) -> None:
    note(output, PAIR, "shard-1", 2)
    note(output, Pair("net", "other"), "shard-2", 4)
    note(output, Pair("net", "other"), "shard-3", 3)
    error = raised(output, RuntimeError("ValueError: the last line"))
    line = "shard net/other/shard-2 failed 4 times, at last: ValueError: the last line"
    assert str(error) == line


def test_without_a_note_and_for_a_users_mistake_the_error_is_as_it_was(output: Output) -> None:
    for error in (OSError("no space left on device"), DatasetError("2 rows")):
        assert raised(output, error) is error
    note(output, PAIR, "shard-1", 2)
    mistake = DatasetError("2 rows")
    assert raised(output, mistake) is mistake


# -- by Spark ------------------------------------------------------------------------------------


def item(shard: Shard) -> ShardItem:
    return ShardItem(name=PAIR.item(shard.name), digest="d-0", pair=PAIR, shard=shard)


def _crashes(
    decode: Callable[..., Pixels], deadly: bytes, data: bytes, *settings: object
) -> Pixels:
    if data == deadly:
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode(data, *settings)


def _with_a_crashing_decoder(job: ImageJob, deadly: bytes, item: ShardItem) -> Outcome:
    """As :func:`embed_shard`; decoding in this very process is deadly."""
    plain, extractor = decoding.decode, image_job.extractor
    decoding.decode = partial(_crashes, plain, deadly)
    image_job.extractor = lambda _: FakeNetwork()  # type: ignore[assignment, return-value]
    try:
        return embed_shard(job, item.shard)
    finally:
        decoding.decode, image_job.extractor = plain, extractor


def test_a_decoder_that_crashes_is_put_apart_at_the_second_attempt(
    spark: SparkSession, job: ImageJob, folder: Folder
) -> None:
    shard = planned(job.output, [folder.put(n, 10 * n) for n in range(5)], "shard-1")
    deadly = (folder.path / "03.png").read_bytes()
    patient = replace(job, settings=Embed(batch_images=1, image_seconds=120))  # a process starts
    task = partial(_with_a_crashing_decoder, patient, deadly)
    (receipt,) = run_items(spark, EMBED.receipts(job.output), [item(shard)], task, "images")
    # The child of the second attempt has the plain decoder, which does not crash.
    assert receipt.counts["embedded"] == 5
    rows = parquet.read(job.output, EMBEDDINGS)
    assert rows["image_id"].to_pylist() == [f"{n:02d}" for n in range(5)]
    (path,) = (path for path in job.output.files("_plans") if path.endswith(".json"))
    assert job.output.read_json(path) == {"attempts": 2}


def _dies(job: ImageJob, item: ShardItem) -> Outcome:
    attempts.note(job.output, item.shard)
    os.kill(os.getpid(), signal.SIGKILL)
    return Outcome()


def _raises(job: ImageJob, item: ShardItem) -> Outcome:
    attempts.note(job.output, item.shard)
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (_dies, r"SparkException: Python worker exited unexpectedly \(crashed\)"),
        (_raises, "OSError: no space left on device"),
    ],
)
def test_the_shard_that_spark_gives_up_is_named(
    spark: SparkSession, job: ImageJob, task: Callable[..., Outcome], reason: str
) -> None:
    work = [item(planned(job.output, [row(1)], "shard-1"))]
    text = f"^shard net/set/shard-1 failed 4 times, at last: {reason}$"
    with pytest.raises(RuntimeError, match=text), attempts.named(job.output):
        run_items(spark, EMBED.receipts(job.output), work, partial(task, job), "images")

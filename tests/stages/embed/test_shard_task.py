"""One shard, without Spark or a real network: what is kept, what is computed, how it is written."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdsspark.config import Embed
from kdsspark.engine.items import Outcome
from kdsspark.images import decoding
from kdsspark.images.loading import content_hash
from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.stages.embed import image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shard_task import EmbedImages, ShardItem, embed_shard
from kdsspark.stages.embed.shards import files as shard_files
from kdsspark.stages.embed.shards import ranges as shard_ranges
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import EMBEDDINGS, FAILURES
from tests.inprocess import Task
from tests.stages.embed.fakes import (
    COMPUTED_ON,
    PAIR,
    FakeNetwork,
    Folder,
    expected,
    failure,
    files,
    found,
    planned,
)

pytestmark = pytest.mark.usefixtures("network")


def embedded(job: ImageJob, rows: Sequence[dict[str, Any]]) -> Outcome:
    """What becomes of a shard that must hold these rows of ``images``."""
    return embed_shard(job, planned(job.output, rows))


def part(job: ImageJob) -> Path:
    """The file of embeddings."""
    return Path(job.output.path(EMBEDDINGS.part("s", *PAIR)))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_new_shard_in_bounded_row_groups(
    job: ImageJob, folder: Folder, network: FakeNetwork, batch: int
) -> None:
    job = replace(job, settings=Embed(batch_images=batch))
    rows = [folder.put(n, None if n in (0, 4, 5) else 10 * n) for n in range(11)]
    outcome = embedded(job, rows)
    good = [row["image_id"] for row in rows if row["image_id"] not in ("00", "04", "05")]
    assert found(job.output, EMBEDDINGS) == expected(rows, good)
    failed = found(job.output, FAILURES)
    assert [row["image_id"] for row in failed] == ["00", "04", "05"]
    assert {row["content"] for row in failed} == {content_hash(b"broken")}
    counts = {"images": 11, "embedded": 8, "failed": 3, "reused": 0, "computed": 11}
    assert outcome.counts == counts | {f"on {COMPUTED_ON}": 8}
    groups = pq.ParquetFile(part(job)).metadata
    size = 3 if batch == 1 else 4 if batch == 2 else 5
    assert groups.num_row_groups == -(-11 // size)
    assert sum(network.batches) == 8
    assert max(network.batches) <= batch
    keys = {"load", "compute", "wait", "read", "decode", "write"}
    assert outcome.seconds.keys() == keys


def test_ranges_are_those_of_the_rows_that_are_written(job: ImageJob, folder: Folder) -> None:
    for shades in ([1, 2, 3, 4, 5], [1, 9, 3, 4, 5], [None] * 5):
        rows = [folder.put(n, shade) for n, shade in enumerate(shades)]
        embedded(job, rows)
        path = shard_ranges.path_of(EMBEDDINGS.part("s", *PAIR))
        values = [[*row["sum"], *row["corner"]] for row in found(job.output, EMBEDDINGS)]
        if values:
            ranges = parquet.read_file(job.output, path)
            assert ranges["lo"].to_pylist() == np.min(values, axis=0).tolist()
            assert ranges["hi"].to_pylist() == np.max(values, axis=0).tolist()
        else:
            assert not job.output.exists(path)


states = st.dictionaries(
    st.integers(0, 9), st.sampled_from([None, 1, 2]), min_size=1
)  # image -> its shade, None if broken


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(before=states, after=states, touched=st.sets(st.integers(0, 9)), classes=st.booleans())
def test_whatever_changed_only_new_bytes_are_embedded(
    job: ImageJob,
    folder: Folder,
    before: dict[int, int | None],
    after: dict[int, int | None],
    touched: set[int],
    classes: bool,
) -> None:
    shutil.rmtree(job.output.path(), ignore_errors=True)
    embedded(job, [folder.put(n, shade) for n, shade in before.items()])
    rows = []
    for n, shade in after.items():
        row = folder.put(n, shade)
        row["version"] += " touched" if n in touched else ""
        rows.append(row | {"class_id": int(classes), "class_name": "d" if classes else "c"})
    outcome = embedded(job, rows)
    good = {f"{n:02d}" for n, shade in after.items() if shade is not None}
    assert found(job.output, EMBEDDINGS) == expected(rows, good)
    failed = {r["image_id"]: (r["version"], r["class_name"]) for r in found(job.output, FAILURES)}
    assert failed == {
        row["image_id"]: (row["version"], row["class_name"])
        for row in rows
        if row["image_id"] not in good
    }
    new = [n for n, shade in after.items() if n not in before or before[n] != shade]
    assert outcome.counts["computed"] == len(new)


def test_what_holds_already_is_not_written_again(
    job: ImageJob, folder: Folder, network: FakeNetwork
) -> None:
    rows = [folder.put(n, None if n == 2 else n) for n in range(5)]
    embedded(job, rows)
    before = part(job).stat().st_mtime_ns
    outcome = embedded(job, [row for row in rows if row["image_id"] != "02"])
    assert part(job).stat().st_mtime_ns == before
    assert not found(job.output, FAILURES)
    counts = {"images": 4, "embedded": 4, "failed": 0, "reused": 0, "computed": 0}
    assert outcome.counts == counts | {f"on {COMPUTED_ON}": 4}
    assert network.batches == [1] * 4


def test_rows_of_other_files_in_its_place_are_not_taken(
    job: ImageJob,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another attempt may replace the file between two looks at it."""
    embedded(job, [folder.put(n, n) for n in range(4)])
    held = files(job.output).held()
    embedded(job, [folder.put(n, n) for n in range(2, 6)])
    monkeypatch.setattr(shard_files.ShardFiles, "held", lambda _: held)
    with pytest.raises(RuntimeError, match="was replaced while it was read"):
        embedded(job, [folder.put(n, n) for n in range(8)])
    assert [row["image_id"] for row in found(job.output, EMBEDDINGS)] == ["02", "03", "04", "05"]
    assert not [p for p in Path(job.output.path()).rglob(".tmp-*")]


def test_groups_are_written_while_the_network_goes_on(
    job: ImageJob, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Semaphore(0)
    real = parquet.PartWriter.write

    def write(self: parquet.PartWriter, table: pa.Table) -> None:
        real(self, table)
        if "corner" in table.column_names:
            written.release()

    monkeypatch.setattr(parquet.PartWriter, "write", write)
    plain = FakeNetwork.__call__

    def compute(self: FakeNetwork, images: Any) -> Any:
        if len(self.batches) == 9:  # the tenth image: three groups are complete
            assert written.acquire(timeout=20)
        return plain(self, images)

    monkeypatch.setattr(FakeNetwork, "__call__", compute)
    rows = [folder.put(n, n) for n in range(12)]
    embedded(job, rows)
    assert len(found(job.output, EMBEDDINGS)) == 12


def test_images_are_read_while_the_network_computes(
    job: ImageJob, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = threading.Semaphore(0)
    read, plain = decoding.read, FakeNetwork.__call__

    def noting(uri: str) -> bytes:
        data = read(uri)
        reads.release()
        return data

    def compute(self: FakeNetwork, images: Any) -> Any:
        # At the first pass two images have been read, at the tenth eleven.
        for _ in range({0: 2}.get(len(self.batches), len(self.batches) < 10)):
            assert reads.acquire(timeout=20)
        return plain(self, images)

    monkeypatch.setattr(decoding, "read", noting)
    monkeypatch.setattr(FakeNetwork, "__call__", compute)
    embedded(job, [folder.put(n, n) for n in range(12)])
    assert len(found(job.output, EMBEDDINGS)) == 12


def test_seconds_are_counted_by_activity(
    job: ImageJob, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(call: Any, seconds: float) -> Any:
        def later(*arguments: Any, **named: Any) -> Any:
            time.sleep(seconds)
            return call(*arguments, **named)

        return later

    rows = [folder.put(n, n) for n in range(6)]
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "read", slowly(decoding.read, 0.02))
        patch.setattr(decoding, "decode", slowly(decoding.decode, 0.03))
        patch.setattr(shard_files, "_merged", slowly(shard_files._merged, 0.1))
        seconds = embedded(job, rows).seconds
    assert seconds["read"] >= 6 * 0.02
    assert seconds["decode"] >= 6 * 0.03
    assert seconds["write"] >= 2 * 0.1  # two groups
    assert seconds["wait"] >= 0.02 + 0.03  # for the first image
    shutil.rmtree(job.output.path())
    monkeypatch.setattr(FakeNetwork, "__call__", slowly(FakeNetwork.__call__, 0.2))
    seconds = embedded(job, rows).seconds
    assert seconds["compute"] >= 6 * 0.2
    assert seconds["write"] < seconds["compute"]  # without the time in which it had nothing to do


@pytest.mark.parametrize("broken", ["compute", "write"])
def test_an_error_leaves_the_shard_as_it_was(
    job: ImageJob,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    rows = [folder.put(n, n) for n in range(3)]
    embedded(job, rows)
    before = found(job.output, EMBEDDINGS)

    def fails(*_: object) -> Any:
        raise OSError("no space left on device")

    if broken == "compute":
        monkeypatch.setattr(FakeNetwork, "__call__", fails)
    else:
        monkeypatch.setattr(parquet.PartWriter, "write", fails)
    with pytest.raises(OSError, match="no space left"):
        embedded(job, [*rows, folder.put(7, 7)])
    assert found(job.output, EMBEDDINGS) == before
    assert not [p for p in Path(job.output.path()).rglob(".tmp-*")]


def test_an_image_that_hangs_fails_and_the_others_do_not(job: ImageJob, folder: Folder) -> None:
    job = replace(job, settings=Embed(batch_images=1, image_seconds=0.3))
    rows = [folder.put(n, n) for n in range(6)]
    Path(rows[2]["uri"]).unlink()
    os.mkfifo(rows[2]["uri"])
    outcome = embedded(job, rows)
    assert outcome.counts["embedded"] == 5
    (failed,) = found(job.output, FAILURES)
    assert (failed["image_id"], failed["stage"], failed["error"]) == ("02", "read", "TimeoutError")
    assert failed["content"] is None


def test_an_image_of_both_files_counts_as_embedded(job: ImageJob, folder: Folder) -> None:
    """As two attempts at a time may leave it, of which one could read the image."""
    rows = [folder.put(n, n) for n in range(3)]
    embedded(job, rows)
    table = pa.Table.from_pylist([failure(rows[1])], schema=FAILURES.schema)
    shard_files.write_failures(files(job.output), table)
    outcome = embedded(job, rows)
    counts = {"images": 3, "embedded": 3, "failed": 0, "reused": 0, "computed": 0}
    assert outcome.counts == counts | {f"on {COMPUTED_ON}": 3}
    assert not found(job.output, FAILURES)


def test_what_changes_sides_is_never_on_both(
    job: ImageJob, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded(job, [folder.put(0, None), folder.put(1, 1), folder.put(2, None)])
    seen: list[tuple[set[str], set[str]]] = []
    real = Store.create

    def look() -> None:
        both = [{r["image_id"] for r in found(job.output, t)} for t in (EMBEDDINGS, FAILURES)]
        seen.append((both[0], both[1]))

    def create(self: Store, relative: str) -> Any:
        look()
        return real(self, relative)

    monkeypatch.setattr(Store, "create", create)
    embedded(job, [folder.put(0, 5), folder.put(1, None), folder.put(2, None)])
    look()
    assert len(seen) > 2
    assert all(not embedded & failed for embedded, failed in seen)
    assert seen[-1] == ({"00"}, {"01", "02"})


def test_a_shard_takes_no_more_memory_than_a_few_groups(
    job: ImageJob, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are made and not yet written: three groups at most."""
    alive, most = [0], [0]
    lock = threading.Lock()
    real = parquet.PartWriter.write

    def count(change: int) -> None:
        with lock:
            alive[0] += change
            most[0] = max(most[0], alive[0])

    def write(self: parquet.PartWriter, table: pa.Table) -> None:
        time.sleep(0.01)  # the network is faster
        real(self, table)
        if "corner" in table.column_names:
            count(-len(table))

    plain = FakeNetwork.__call__

    def compute(self: FakeNetwork, images: Any) -> Any:
        count(len(images))
        return plain(self, images)

    monkeypatch.setattr(parquet.PartWriter, "write", write)
    monkeypatch.setattr(FakeNetwork, "__call__", compute)
    embedded(job, [folder.put(n, n) for n in range(60)])
    assert pc.sum(pa.array([row["sum"][1] for row in found(job.output, EMBEDDINGS)])).as_py() == -60
    assert most[0] <= 4 * 3  # one at work, one waiting, one complete, and the next begun


# -- on an executor ------------------------------------------------------------------------------


def item(shard: Shard) -> ShardItem:
    return ShardItem(name=PAIR.item(shard.name), digest="d-0", pair=PAIR, shard=shard)


@pytest.mark.parametrize("error", [None, MemoryError])
def test_the_gpu_of_a_task_is_left_to_the_next_one(
    job: ImageJob,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception] | None,
) -> None:
    released: list[bool] = []
    monkeypatch.setattr(image_job.gpus, "release", lambda: released.append(True))

    def fails(*_: object) -> Any:
        assert not released
        raise MemoryError

    if error:
        monkeypatch.setattr(FakeNetwork, "__call__", fails)
    shard = planned(job.output, [folder.put(n, n) for n in range(3)])
    with pytest.raises(error) if error else nullcontext():
        assert EmbedImages({PAIR: job})(item(shard)).counts["embedded"] == 3
    assert released == [True]


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_images_are_decoded_apart_once_an_attempt_has_failed(
    job: ImageJob,
    folder: Folder,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    attempt: int,
) -> None:
    apart: list[decoding.Decoder] = []

    def decoder(decode: decoding.Decoder) -> Any:
        apart.append(decode)
        return nullcontext(decode)

    monkeypatch.setattr(image_job.isolation, "decoder", decoder)
    task.attempt = attempt
    rows = [folder.put(n, n) for n in range(3)]
    embedded(job, rows)
    assert apart == [decoding.Decoder(8)] * (attempt > 0)
    assert len(found(job.output, EMBEDDINGS)) == 3
    (note,) = [path for path in job.output.files("_plans") if path.endswith(".json")] or [None]
    assert (job.output.read_json(note) if note else None) == (
        {"attempts": attempt + 1} if attempt else None
    )

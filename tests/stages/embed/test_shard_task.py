"""One shard, without Spark or a real network: what is kept, what is computed, how it is written."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from kdsspark.config import Embed, Preprocessing
from kdsspark.images.loading import content_hash
from kdsspark.network.spec import Layer, NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.stages.embed import ranges as shard_ranges
from kdsspark.stages.embed import shard_files, shards
from kdsspark.stages.embed import shard_task as embed_images
from kdsspark.stages.embed.shard_task import ImageJob, embed_shard
from kdsspark.stages.embed.shards import Shard
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES

SPEC = NetworkSpec(
    name="net",
    architecture="none",
    layers=(Layer("sum", "", 2, "conv", 1), Layer("corner", "", 5, "conv", 1)),
    activation="post_relu",
    pooling="mean",
    crops="center",
    preprocessing=Preprocessing(resize=8, crop=8),
    precision="float32",
    weights="random",
    weights_digest="",
)
pytestmark = pytest.mark.usefixtures("network")


@dataclass
class FakeNetwork:
    """Features that tell which image they are of; counts what it is given."""

    batches: list[int] = field(default_factory=list)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        self.batches.append(len(images))
        values = np.stack([features(image) for image in images])
        return {"sum": values[:, :2], "corner": values[:, 2:]}


def features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.array([image.sum(), -1.0, *image.ravel()[:5]], np.float32)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    fake = FakeNetwork()
    monkeypatch.setattr(embed_images, "_extractor", lambda _: fake)
    monkeypatch.setattr(
        embed_images, "_batch_and_call", lambda job: 2 * (job.settings.batch_images,)
    )
    monkeypatch.setattr(embed_images, "task_cpus", lambda: 2)
    monkeypatch.setattr(shard_files, "_GROUP_BYTES", 4 * 5 * 3)  # three rows a group
    return fake


@pytest.fixture
def job(tmp_path: Path) -> ImageJob:
    store = Store.at(str(tmp_path / "out"))
    return ImageJob(store, "net", "set", SPEC, "", Embed(batch_images=1, image_seconds=5))


@dataclass(frozen=True)
class Folder:
    """Images by number; ``shade`` tells them apart."""

    path: Path

    def put(self, number: int, shade: int | None) -> dict[str, Any]:
        """Write an image, or none at all, and return its row of ``images``."""
        path = self.path / f"{number:02d}.png"
        if shade is None:
            path.write_bytes(b"broken")
        else:
            pixels = np.full((8, 8, 3), shade, np.uint8)
            pixels[0, 0] = number
            Image.fromarray(pixels).save(path)
        named = {"class_id": 0, "class_name": "c", "version": f"v{shade}"}
        return {"image_id": f"{number:02d}", "uri": str(path), **named}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "images").mkdir()
    return Folder(tmp_path / "images")


def planned(job: ImageJob, rows: Sequence[dict[str, Any]]) -> Shard:
    """The plan of a shard that must hold these rows of ``images``."""
    table = pa.Table.from_pylist(list(rows), schema=IMAGES.schema).sort_by("image_id")
    (shard,) = shards.write_plan(job.store, "_plans", iter([(Shard("s", "d", len(table)), table)]))
    return shard


def found(job: ImageJob, table: Any) -> list[dict[str, Any]]:
    """The rows of the shard in the order of the file."""
    path = job.files(Shard("s", "d", 0)).part(table)
    return parquet.read_file(job.store, path).to_pylist() if job.store.exists(path) else []


def expected(rows: Sequence[dict[str, Any]], shades: dict[str, int]) -> list[dict[str, Any]]:
    """What ``embeddings`` must hold, computed plainly."""
    result = []
    for row in sorted(rows, key=lambda row: str(row["image_id"])):
        if row["image_id"] in shades:
            data = Path(row["uri"]).read_bytes()
            values = features(np.asarray(Image.open(row["uri"]))).tolist()
            fixed = {k: row[k] for k in ("image_id", "class_id", "class_name", "version")}
            layers = {"sum": values[:2], "corner": values[2:]}
            result.append(fixed | {"content": content_hash(data)} | layers)
    return result


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_new_shard_in_bounded_row_groups(
    job: ImageJob, folder: Folder, network: FakeNetwork, batch: int
) -> None:
    job = ImageJob(job.store, "net", "set", SPEC, "", Embed(batch_images=batch))
    rows = [folder.put(n, None if n in (0, 4, 5) else 10 * n) for n in range(11)]
    outcome = embed_shard(job, planned(job, rows))
    good = {row["image_id"]: 0 for row in rows if row["image_id"] not in ("00", "04", "05")}
    assert found(job, EMBEDDINGS) == expected(rows, good)
    failed = found(job, FAILURES)
    assert [row["image_id"] for row in failed] == ["00", "04", "05"]
    assert {row["content"] for row in failed} == {content_hash(b"broken")}
    assert outcome.counts == {"images": 11, "embedded": 8, "failed": 3, "computed": 11}
    path = job.store.path(job.files(Shard("s", "d", 0)).part(EMBEDDINGS))
    groups = pq.ParquetFile(path).metadata
    size = 3 if batch == 1 else 4 if batch == 2 else 5
    assert groups.num_row_groups == -(-11 // size)
    assert sum(network.batches) == 8
    assert max(network.batches) <= batch
    keys = {"load", "compute", "wait", "read", "decode", "write"}
    assert outcome.seconds.keys() == keys
    assert min(outcome.seconds.values()) >= 0


def test_ranges_are_those_of_the_rows_that_are_written(job: ImageJob, folder: Folder) -> None:
    for shades in ([1, 2, 3, 4, 5], [1, 9, 3, 4, 5], [None] * 5):
        rows = [folder.put(n, shade) for n, shade in enumerate(shades)]
        embed_shard(job, planned(job, rows))
        path = shard_ranges.path_of(job.files(Shard("s", "d", 0)).part(EMBEDDINGS))
        values = [[*row["sum"], *row["corner"]] for row in found(job, EMBEDDINGS)]
        if values:
            ranges = parquet.read_file(job.store, path)
            assert ranges["lo"].to_pylist() == np.min(values, axis=0).tolist()
            assert ranges["hi"].to_pylist() == np.max(values, axis=0).tolist()
        else:
            assert not job.store.exists(path)


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
    shutil.rmtree(job.store.path(), ignore_errors=True)
    embed_shard(job, planned(job, [folder.put(n, shade) for n, shade in before.items()]))
    rows = []
    for n, shade in after.items():
        row = folder.put(n, shade)
        row["version"] += " touched" if n in touched else ""
        rows.append(row | {"class_id": int(classes), "class_name": "d" if classes else "c"})
    outcome = embed_shard(job, planned(job, rows))
    good = {f"{n:02d}": shade for n, shade in after.items() if shade is not None}
    assert found(job, EMBEDDINGS) == expected(rows, good)
    failed = {r["image_id"]: (r["version"], r["class_name"]) for r in found(job, FAILURES)}
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
    embed_shard(job, planned(job, rows))
    path = Path(job.store.path(job.files(Shard("s", "d", 0)).part(EMBEDDINGS)))
    before = path.stat().st_mtime_ns
    outcome = embed_shard(job, planned(job, [row for row in rows if row["image_id"] != "02"]))
    assert path.stat().st_mtime_ns == before
    assert not found(job, FAILURES)
    assert outcome.counts == {"images": 4, "embedded": 4, "failed": 0, "computed": 0}
    assert network.batches == [1] * 4


def test_rows_of_other_files_in_its_place_are_not_taken(
    job: ImageJob,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another attempt may replace the file between two looks at it."""
    embed_shard(job, planned(job, [folder.put(n, n) for n in range(4)]))
    files = job.files(Shard("s", "d", 0))
    held = files.held()
    embed_shard(job, planned(job, [folder.put(n, n) for n in range(2, 6)]))
    monkeypatch.setattr(shard_files.ShardFiles, "held", lambda _: held)
    with pytest.raises(RuntimeError, match="was replaced while it was read"):
        embed_shard(job, planned(job, [folder.put(n, n) for n in range(8)]))
    assert [row["image_id"] for row in found(job, EMBEDDINGS)] == ["02", "03", "04", "05"]
    assert not [p for p in Path(job.store.path()).rglob(".tmp-*")]


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
    embed_shard(job, planned(job, rows))
    assert len(found(job, EMBEDDINGS)) == 12


def test_the_network_hardly_waits(
    job: ImageJob, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading takes half as long as computing, writing too: both in the shadow of it."""
    plain, read, merged = FakeNetwork.__call__, embed_images.images.read, shard_files._merged

    def slowly(call: Any, seconds: float) -> Any:
        return lambda *arguments: (time.sleep(seconds), call(*arguments))[1]

    monkeypatch.setattr(FakeNetwork, "__call__", slowly(plain, 0.02))
    monkeypatch.setattr(embed_images.images, "read", slowly(read, 0.01))
    monkeypatch.setattr(shard_files, "_merged", slowly(merged, 0.03))
    rows = [folder.put(n, n) for n in range(30)]
    seconds = embed_shard(job, planned(job, rows)).seconds
    assert seconds["compute"] > 0.6
    assert seconds["read"] > 0.3
    assert seconds["write"] > 0.3
    assert seconds["wait"] < 0.3


@pytest.mark.parametrize("broken", ["compute", "write"])
def test_an_error_leaves_the_shard_as_it_was(
    job: ImageJob,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    rows = [folder.put(n, n) for n in range(3)]
    embed_shard(job, planned(job, rows))
    before = found(job, EMBEDDINGS)

    def fails(*_: object) -> Any:
        raise OSError("no space left on device")

    if broken == "compute":
        monkeypatch.setattr(FakeNetwork, "__call__", fails)
    else:
        monkeypatch.setattr(parquet.PartWriter, "write", fails)
    with pytest.raises(OSError, match="no space left"):
        embed_shard(job, planned(job, [*rows, folder.put(7, 7)]))
    assert found(job, EMBEDDINGS) == before
    assert not [p for p in Path(job.store.path()).rglob(".tmp-*")]


def test_an_image_that_hangs_fails_and_the_others_do_not(job: ImageJob, folder: Folder) -> None:
    job = ImageJob(job.store, "net", "set", SPEC, "", Embed(batch_images=1, image_seconds=0.3))
    rows = [folder.put(n, n) for n in range(6)]
    Path(rows[2]["uri"]).unlink()
    os.mkfifo(rows[2]["uri"])
    outcome = embed_shard(job, planned(job, rows))
    assert outcome.counts["embedded"] == 5
    (failed,) = found(job, FAILURES)
    assert (failed["image_id"], failed["stage"], failed["error"]) == ("02", "read", "TimeoutError")
    assert failed["content"] is None


def test_an_image_of_both_files_counts_as_embedded(job: ImageJob, folder: Folder) -> None:
    """As two attempts at a time may leave it, of which one could read the image."""
    rows = [folder.put(n, n) for n in range(3)]
    embed_shard(job, planned(job, rows))
    failed = {**rows[1], "content": None, "stage": "read", "error": "E", "message": "m"}
    files = job.files(Shard("s", "d", 0))
    shard_files.write_failures(files, pa.Table.from_pylist([failed], schema=FAILURES.schema))
    outcome = embed_shard(job, planned(job, rows))
    assert outcome.counts == {"images": 3, "embedded": 3, "failed": 0, "computed": 0}
    assert not found(job, FAILURES)


def test_what_changes_sides_is_never_on_both(
    job: ImageJob, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_shard(job, planned(job, [folder.put(0, None), folder.put(1, 1), folder.put(2, None)]))
    seen: list[tuple[set[str], set[str]]] = []
    real = Store.create

    def create(self: Store, relative: str) -> Any:
        tables = [{r["image_id"] for r in found(job, table)} for table in (EMBEDDINGS, FAILURES)]
        seen.append((tables[0], tables[1]))
        return real(self, relative)

    monkeypatch.setattr(Store, "create", create)
    embed_shard(job, planned(job, [folder.put(0, 5), folder.put(1, None), folder.put(2, None)]))
    seen.append(tuple({r["image_id"] for r in found(job, t)} for t in (EMBEDDINGS, FAILURES)))  # type: ignore[arg-type]
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
    embed_shard(job, planned(job, [folder.put(n, n) for n in range(60)]))
    assert pc.sum(pa.array([row["sum"][1] for row in found(job, EMBEDDINGS)])).as_py() == -60
    assert most[0] <= 4 * 3  # one at work, one waiting, one complete, and the next begun

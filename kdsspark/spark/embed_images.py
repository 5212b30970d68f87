"""What an executor does with one shard of images: fetch, decode, embed, write."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.config import Embed
from kdsspark.errors import ImageError
from kdsspark.network.crops import VIEWS
from kdsspark.network.extractor import Extractor, cached_extractor, default_device
from kdsspark.network.spec import NetworkSpec
from kdsspark.spark.units import Outcome, task_cpus
from kdsspark.storage import images, parquet, shards
from kdsspark.storage.files import Store
from kdsspark.storage.shards import Shard
from kdsspark.tables import EMBEDDINGS, FAILURES, Table, embeddings_schema

_VIEWS_OF_A_BATCH = 10  # a forward pass of ten-crop VGG16 is bound by arithmetic from one image on
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImageJob:
    """What all shards of one network and dataset share."""

    store: Store
    network: str
    dataset: str
    spec: NetworkSpec
    weights: str  # file of the store
    settings: Embed

    @property
    def schema(self) -> pa.Schema:
        """The schema of an ``embeddings`` file of this network."""
        return embeddings_schema([layer.name for layer in self.spec.layers])

    def part(self, table: Table, shard: Shard) -> str:
        """Where a shard's rows of ``embeddings`` or ``failures`` lie."""
        return f"{table.partition(self.network, self.dataset)}/{shard.name}.parquet"


@dataclass
class _Clock:
    """Seconds by activity; activities of several threads add up."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, activity: str, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            spent = time.perf_counter() - start
            self.seconds[activity] = self.seconds.get(activity, 0.0) + spent


def embed_shard(job: ImageJob, shard: Shard) -> Outcome:
    """Make the shard's files hold exactly the planned rows; images it already holds are kept."""
    clock = _Clock()
    wanted = shards.planned_rows(job.store, shard)
    embedded, failed = (_kept(job, table, shard, wanted) for table in (EMBEDDINGS, FAILURES))
    known = pa.concat_tables([embedded.select(["image_id"]), failed.select(["image_id"])])
    missing = wanted.filter(pc.invert(pc.is_in(wanted["image_id"], known["image_id"])))
    if len(missing):
        fresh, refused = _embed(job, missing, clock)
        embedded = pa.concat_tables([embedded, fresh])
        failed = pa.concat_tables([failed, refused])
    for table, rows, schema in (
        (FAILURES, failed, FAILURES.schema),
        (EMBEDDINGS, embedded, job.schema),
    ):
        clock.time("write", _write, job.store, job.part(table, shard), rows, schema)
    counts = {"images": len(wanted), "embedded": len(embedded), "failed": len(failed)}
    return Outcome(counts | {"computed": len(missing)}, clock.seconds)


def _write(store: Store, path: str, rows: pa.Table, schema: pa.Schema) -> None:
    if len(rows):
        parquet.write(store, path, rows.sort_by("image_id"), schema)
    else:
        store.remove(path)


def _kept(job: ImageJob, table: Table, shard: Shard, wanted: pa.Table) -> pa.Table:
    """Rows of an earlier version of the shard that are still wanted, with today's classes."""
    schema = job.schema if table is EMBEDDINGS else table.schema
    if not shard.held or not job.store.exists(job.part(table, shard)):
        return schema.empty_table()
    rows = parquet.read_file(job.store, job.part(table, shard))
    positions = pc.index_in(rows["image_id"], value_set=wanted["image_id"].combine_chunks())
    rows = rows.filter(pc.is_valid(positions))
    today = wanted.take(pc.drop_null(positions))
    for column in ("class_id", "class_name"):
        rows = rows.set_column(rows.column_names.index(column), column, today[column])
    return rows.cast(schema)


# -- computing -----------------------------------------------------------------------------------


def _embed(job: ImageJob, rows: pa.Table, clock: _Clock) -> tuple[pa.Table, pa.Table]:
    """Embed the rows (columns of ``images``): (rows of ``embeddings``, rows of ``failures``)."""
    extractor = _extractor(job)
    embedded: list[int] = []
    failed: list[tuple[int, ImageError]] = []
    outputs: list[dict[str, npt.NDArray[np.float32]]] = []
    for batch in _batches(_load(job, rows["uri"].to_pylist(), clock), job):
        good = [(row, pixels) for row, pixels in batch if isinstance(pixels, np.ndarray)]
        failed += [(row, error) for row, error in batch if isinstance(error, ImageError)]
        if good:
            outputs.append(clock.time("compute", extractor, [pixels for _, pixels in good]))
            embedded += [row for row, _ in good]
    good_rows = rows.take(pa.array(embedded, pa.int64()))  # typed: there may be none
    return _embeddings(job, good_rows, outputs), _failures(rows, failed)


def _batches(
    loaded: Iterable[tuple[int, Pixels | ImageError]], job: ImageJob
) -> Iterator[list[tuple[int, Pixels | ImageError]]]:
    """Cut the stream so that each piece has as many good images as a forward pass takes."""
    size = job.settings.batch_images or max(1, _VIEWS_OF_A_BATCH // VIEWS[job.spec.crops])
    batch: list[tuple[int, Pixels | ImageError]] = []
    for item in loaded:
        batch.append(item)
        if sum(isinstance(pixels, np.ndarray) for _, pixels in batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _load(
    job: ImageJob, uris: Sequence[str], clock: _Clock
) -> Iterator[tuple[int, Pixels | ImageError]]:
    """Fetch and decode in threads, a few images ahead of the forward pass, in order."""
    threads = job.settings.decode_threads or max(2, task_cpus())
    resize = job.spec.preprocessing.resize

    def load(uri: str) -> Pixels | ImageError:
        try:
            data = clock.time("read", images.read, uri)
            return clock.time("decode", images.decode, data, resize)  # type: ignore[no-any-return]
        except ImageError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[int, Future[Pixels | ImageError]]] = deque()
        for row, uri in enumerate(uris):
            ahead.append((row, pool.submit(load, uri)))
            if len(ahead) > 2 * threads:
                done, future = ahead.popleft()
                yield done, future.result()
        for done, future in ahead:
            yield done, future.result()


def _extractor(job: ImageJob) -> Extractor:
    return cached_extractor(job.spec, _local_weights(job), default_device(), threads=task_cpus())


def _local_weights(job: ImageJob) -> Path:
    """The weights as a file of this machine, fetched once per machine from other stores."""
    path = job.store.path(job.weights)
    if job.store.is_local:
        return Path(path)
    local = Path(tempfile.gettempdir()) / f"kdsspark-{os.getuid()}" / Path(job.weights).name
    if not local.exists():
        local.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            job.store.fs.open(path, "rb") as source,
            tempfile.NamedTemporaryFile(dir=local.parent, delete=False) as target,
        ):
            shutil.copyfileobj(source, target, 1 << 22)
        Path(target.name).replace(local)
    return local


# -- tables --------------------------------------------------------------------------------------


def _embeddings(
    job: ImageJob, rows: pa.Table, outputs: list[dict[str, npt.NDArray[np.float32]]]
) -> pa.Table:
    columns: list[Any] = [rows[c.name] for c in EMBEDDINGS.columns]
    for layer in job.spec.layers:
        values = [output[layer.name] for output in outputs]
        flat = np.concatenate(values).ravel() if values else np.empty(0, np.float32)
        offsets = np.arange(0, len(flat) + 1, layer.units, dtype=np.int32)
        kind = job.schema.field(layer.name).type
        columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), type=kind))
    return pa.Table.from_arrays(columns, schema=job.schema)


def _failures(rows: pa.Table, failed: list[tuple[int, ImageError]]) -> pa.Table:
    table = rows.take(pa.array([row for row, _ in failed], pa.int64()))
    for column in ("stage", "error", "message"):
        values = [getattr(error, column) for _, error in failed]
        table = table.append_column(column, pa.array(values, pa.string()))
    return table.select(FAILURES.schema.names).cast(FAILURES.schema)

"""What an executor does with one shard of images: fetch, decode, embed, write, all at once.

Threads fetch and decode ahead (:mod:`kdsspark.images.loading`), the task's own thread computes,
and one more thread writes (:mod:`.shard_files`), a row group at a time. So a task holds a few row
groups and the images under way, however large the shard is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.errors import ImageError
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Loaded, Pixels
from kdsspark.output.names import Pair
from kdsspark.stages.embed import attempts, background, image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards import files as shard_files
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.files import MISSING, Fresh, RowGroup, ShardFiles, Sources
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import EMBEDDINGS, FAILURES

if TYPE_CHECKING:
    from kdsspark.network.extractor import Extractor

Activations = dict[str, npt.NDArray[np.float32]]
"""Layer -> [images, units] of one forward pass."""


@dataclass(frozen=True, kw_only=True)
class ShardItem(WorkItem):
    """One shard to bring up to date."""

    pair: Pair
    shard: Shard


@dataclass(frozen=True)
class EmbedImages:
    """Embeds shards of images; the networks travel once, and not with every shard (executor)."""

    jobs: Mapping[Pair, ImageJob]

    def __call__(self, item: ShardItem) -> Outcome:
        """Embed one shard on the GPU of its task, if it has one."""
        try:
            return embed_shard(self.jobs[item.pair], item.shard)
        finally:
            gpus.release()


def embed_shard(job: ImageJob, shard: Shard) -> Outcome:
    """Make the shard's files hold exactly the planned rows; images it already holds are kept."""
    attempts.note(job.output, shard)
    clock = Clock()
    planned, files = shards.planned_rows(job.output, shard), job.files(shard)
    held = files.held()
    sources = held.sources(planned, _unchanged(job, held.doubtful(planned), clock))
    failed = [held.failures(planned, sources)]
    if not held.holds_exactly(planned, sources):
        if held.knows(planned.filter(sources == MISSING)):
            # What changes sides would be in both tables for a moment; so it is in none instead.
            shard_files.write_failures(files, FAILURES.schema.empty_table())
        failed += _embed(job, files, planned, sources, clock)
    refused = pa.concat_tables(failed)
    shard_files.write_failures(files, refused)
    counts = {"images": len(planned), "failed": len(refused)}
    counts["embedded"] = counts["images"] - counts["failed"]
    counts["computed"] = int((sources == MISSING).sum())
    return Outcome(counts, clock.seconds)


def _unchanged(job: ImageJob, doubtful: pa.Table, clock: Clock) -> set[str]:
    """The uris of which only the version changed, and not the bytes."""
    if not len(doubtful):
        return set()
    uris, contents = doubtful["uri"].to_pylist(), doubtful["content"].to_pylist()
    with job.load(uris, None, 1, clock) as loaded:
        found = zip(uris, contents, loaded, strict=True)
        return {uri for uri, content, now in found if now.content == content}


# -- computing -----------------------------------------------------------------------------------


def _embed(
    job: ImageJob, files: ShardFiles, planned: pa.Table, sources: Sources, clock: Clock
) -> list[pa.Table]:
    """Write the planned rows, kept ones and new ones; returns those that failed."""
    uris = planned["uri"].filter(pa.array(sources == MISSING)).to_pylist()
    batch, call = image_job.batch_and_call(job) if uris else (1, 1)
    forward, size = _Forward(job, files.schema, call, clock), job.group_rows(batch)
    failed = []
    with (
        image_job.decoder(job) as decode,
        job.load(uris, decode, call, clock) as loaded,
        background.fed(partial(_write, files, clock)) as put,
    ):
        for start in range(0, len(planned), size):
            rows, source = planned.slice(start, size), sources[start : start + size]
            fresh, refused = forward(rows.filter(source == MISSING), loaded)
            failed.append(refused)
            with clock.time("wait"):
                put(RowGroup(rows.filter(source >= 0), source[source >= 0], fresh))
    clock.seconds["write"] -= clock.seconds.pop("idle")
    return failed


def _write(files: ShardFiles, clock: Clock, groups: Iterator[RowGroup]) -> None:
    with clock.time("write"):
        shard_files.write_groups(files, clock.until_next("idle", groups))


@dataclass(frozen=True)
class _Forward:
    """The network at work on some rows of a shard at a time."""

    job: ImageJob
    schema: pa.Schema
    call: int  # images that the extractor gets at a time
    clock: Clock

    @cached_property
    def extractor(self) -> Extractor:
        """The network, loaded when the first images are there."""
        with self.clock.time("load"):
            return image_job.extractor(self.job)

    def __call__(self, rows: pa.Table, loaded: Iterator[Loaded]) -> tuple[Fresh, pa.Table]:
        """Rows of ``embeddings``, made when they are asked for, and of ``failures``.

        ``rows`` are planned ones (columns of ``images``), whose images come next in ``loaded``.
        """
        contents: list[str | None] = []
        errors: list[ImageError | None] = []
        outputs: list[Activations] = []
        batch: list[Pixels] = []
        for image in self.clock.until_next("wait", islice(loaded, len(rows))):
            contents.append(image.content)
            errors.append(image.result if isinstance(image.result, ImageError) else None)
            if isinstance(image.result, np.ndarray):
                batch.append(image.result)
            if len(batch) == self.call:
                outputs.append(self._compute(batch))
                batch = []
        if batch:
            outputs.append(self._compute(batch))
        rows = rows.append_column("content", pa.array(contents, pa.string()))
        good = rows.filter(np.array([error is None for error in errors], dtype=bool))
        return partial(_embeddings, self.schema, good, outputs), _failures(rows, errors)

    def _compute(self, batch: list[Pixels]) -> Activations:
        extractor = self.extractor
        with self.clock.time("compute"):
            return extractor(batch)


# -- tables --------------------------------------------------------------------------------------


def _embeddings(schema: pa.Schema, rows: pa.Table, outputs: Sequence[Activations]) -> pa.Table:
    """Rows of ``embeddings``: those of ``rows``, which went through the network in this order."""
    columns: list[Any] = [rows[c.name] for c in EMBEDDINGS.columns]
    for layer in schema.names[len(columns) :]:
        values = [output[layer] for output in outputs]
        flat = np.concatenate(values).ravel() if values else np.empty(0, np.float32)
        offsets = np.arange(len(rows) + 1, dtype=np.int32) * (len(flat) // max(1, len(rows)))
        kind = schema.field(layer).type
        columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), type=kind))
    return pa.Table.from_arrays(columns, schema=schema)


def _failures(rows: pa.Table, errors: Sequence[ImageError | None]) -> pa.Table:
    failed = [(row, error) for row, error in enumerate(errors) if error is not None]
    table = rows.take(pa.array([row for row, _ in failed], pa.int64()))
    for column in ("stage", "error", "message"):
        values = [getattr(error, column) for _, error in failed]
        table = table.append_column(column, pa.array(values, pa.string()))
    return table.select(FAILURES.schema.names).cast(FAILURES.schema)

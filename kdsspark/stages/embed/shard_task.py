"""What an executor does with one shard of images: fetch, decode, embed, write, all at once.

Threads fetch and decode ahead (:mod:`kdsspark.images.loading`), the task's own thread computes,
and one more thread writes (:mod:`.shard_files`), a row group at a time. So a task holds a few row
groups and the images under way, however large the shard is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.errors import ImageError
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Loaded, Pixels
from kdsspark.output.names import Pair
from kdsspark.stages.embed import attempts, background, image_job, processors
from kdsspark.stages.embed.image_job import ImageJob, Stacked
from kdsspark.stages.embed.known import Features, Known
from kdsspark.stages.embed.shards import files as shard_files
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.files import MISSING, Fresh, RowGroup, ShardFiles, Sources
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import EMBEDDINGS, FAILURES

if TYPE_CHECKING:
    from kdsspark.network.extractor import Extractor


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
    failed, new = [held.failures(planned, sources)], _New()
    if not held.holds_exactly(planned, sources):
        shard_files.set_aside_lost(files, held, sources)
        if held.knows(planned.filter(sources == MISSING)):
            # What changes sides would be in both tables for a moment; so it is in none instead.
            shard_files.write_failures(files, FAILURES.schema.empty_table())
        new = _embed(job, files, planned, sources, clock)
    refused = pa.concat_tables([*failed, *new.failed])
    shard_files.write_failures(files, refused)
    counts = {"images": len(planned), "failed": len(refused)}
    counts["embedded"] = counts["images"] - counts["failed"]
    counts["reused"] = new.reused
    counts["computed"] = int((sources == MISSING).sum()) - new.reused
    kept = held.embedded["computed_on"].take(pa.array(sources[sources >= 0]))
    counts |= processors.as_counts([*kept.to_pylist(), *new.computed_on])
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


@dataclass
class _New:
    """What became of the images that no row of the shard was there for."""

    failed: list[pa.Table] = field(default_factory=list)
    computed_on: list[str] = field(default_factory=list)  # of each that is embedded
    reused: int = 0  # of those, images whose features were there


def _embed(
    job: ImageJob, files: ShardFiles, planned: pa.Table, sources: Sources, clock: Clock
) -> _New:
    """Write the planned rows, kept ones and new ones."""
    uris = planned["uri"].filter(pa.array(sources == MISSING)).to_pylist()
    batch, call = image_job.batch_and_call(job) if uris else (1, 1)
    known = Known(job.output, job.contents, image_job.computed_on(batch) if uris else "", clock)
    forward = _Forward(job, files.schema, call, known, clock)
    size = job.group_rows(batch)
    with (
        image_job.decoder(job) as decode,
        job.load(uris, decode, call, clock) as loaded,
        background.fed(partial(_write, files, clock)) as put,
    ):
        for start in range(0, len(planned), size):
            rows, source = planned.slice(start, size), sources[start : start + size]
            fresh = forward(rows.filter(source == MISSING), loaded)
            with clock.time("wait"):
                put(RowGroup(rows.filter(source >= 0), source[source >= 0], fresh))
    clock.seconds["write"] -= clock.seconds.pop("idle")
    return forward.new


def _write(files: ShardFiles, clock: Clock, groups: Iterator[RowGroup]) -> None:
    with clock.time("write"):
        shard_files.write_groups(files, clock.until_next("idle", groups))


@dataclass(frozen=True)
class _Forward:
    """The network at work on some rows of a shard at a time."""

    job: ImageJob
    schema: pa.Schema
    call: int  # images that the extractor gets at a time
    known: Known
    clock: Clock
    new: _New = field(default_factory=_New)

    @cached_property
    def extractor(self) -> Extractor | Stacked:
        """The network, loaded when the first images are there."""
        with self.clock.time("load"):
            return image_job.extractor(self.job)

    def __call__(self, rows: pa.Table, loaded: Iterator[Loaded]) -> Fresh:
        """Rows of ``embeddings``, made when they are asked for; what else is new is in ``new``.

        ``rows`` are planned ones (columns of ``images``), whose images come next in ``loaded``.
        Images of equal bytes go through the network once, and not at all if their features are
        known.
        """
        contents: list[str | None] = []
        errors: list[ImageError | None] = []
        found: dict[str, Features] = {}
        waiting: dict[str, Pixels] = {}
        for image in self.clock.until_next("wait", islice(loaded, len(rows))):
            contents.append(image.content)
            errors.append(image.result if isinstance(image.result, ImageError) else None)
            if isinstance(image.result, np.ndarray):
                assert image.content is not None, "it was read, so it has a hash"
                if image.content in waiting or self._finds(image.content, found):
                    self.new.reused += 1
                else:
                    waiting[image.content] = image.result
            if len(waiting) == self.call:
                found |= self._compute(waiting)
                waiting = {}
        if waiting:
            found |= self._compute(waiting)
        rows = rows.append_column("content", pa.array(contents, pa.string()))
        self.new.failed.append(_failures(rows, errors))
        good = rows.filter(np.array([error is None for error in errors], dtype=bool))
        features = [found[content] for content in good["content"].to_pylist()]
        self.new.computed_on += [one.computed_on for one in features]
        return partial(_embeddings, self.schema, good, features)

    def _finds(self, content: str, found: dict[str, Features]) -> bool:
        if content not in found:
            features = self.known.find(content)
            if features is None:
                return False
            found[content] = features
        return True

    def _compute(self, images: Mapping[str, Pixels]) -> dict[str, Features]:
        extractor = self.extractor
        with self.clock.time("compute"):
            layers = extractor(list(images.values()))
        computed_on = image_job.computed_on(extractor.batch)
        computed = {
            content: Features(computed_on, {name: values[row] for name, values in layers.items()})
            for row, content in enumerate(images)
        }
        self.known.add(computed)
        return computed


# -- tables --------------------------------------------------------------------------------------


def _embeddings(schema: pa.Schema, rows: pa.Table, features: Sequence[Features]) -> pa.Table:
    """Rows of ``embeddings``: those of ``rows``, which have these features."""
    computed_on = pa.array([one.computed_on for one in features], pa.string())
    rows = rows.append_column("computed_on", computed_on)
    columns: list[Any] = [rows[c.name] for c in EMBEDDINGS.columns]
    for layer in schema.names[len(columns) :]:
        values = [one.layers[layer] for one in features]
        flat = np.concatenate(values) if values else np.empty(0, np.float32)
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

"""What an executor does with one file of ready-made embeddings: check every row, rewrite it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from kdsspark.datasets import readymade
from kdsspark.engine.items import Outcome
from kdsspark.errors import DatasetError
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed.shard_task import ShardItem
from kdsspark.stages.embed.shards import files as shard_files
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import EMBEDDINGS, embeddings_schema


@dataclass(frozen=True)
class ImportJob:
    """What all files of one ready-made dataset share."""

    output: Output
    source: readymade.Source

    @property
    def schema(self) -> pa.Schema:
        """The schema of its ``embeddings`` files; float64 stays float64."""
        schema = embeddings_schema(list(self.source.widths))
        for name, kind in self.source.value_types.items():
            element = pa.list_(pa.field("element", kind, nullable=False))
            field = pa.field(name, element, nullable=False)
            schema = schema.set(schema.get_field_index(name), field)
        return schema


@dataclass(frozen=True)
class ImportFiles:
    """Imports files of ready-made embeddings; each source travels once (executor)."""

    jobs: Mapping[Pair, ImportJob]

    def __call__(self, item: ShardItem) -> Outcome:
        """Import one file."""
        return import_file(self.jobs[item.pair], item.shard)


def import_file(job: ImportJob, shard: Shard) -> Outcome:
    """Copy one source file into ``embeddings`` with ids and classes, as a stream.

    Raises :class:`DatasetError` where the file is not as it was indexed.
    """
    start = time.perf_counter()
    wanted = shards.planned_rows(job.output, shard)
    path = wanted["uri"][0].as_py().rpartition("#")[0]
    dataset = job.source.dataset
    target = EMBEDDINGS.part(shard.name, dataset.network, dataset.name)
    shard_files.write(job.output, target, _tables(job, path, wanted), job.schema)
    counts = {"images": len(wanted), "embedded": len(wanted), "failed": 0, "reused": 0}
    counts["computed"] = len(wanted)
    return Outcome(counts, {"copy": time.perf_counter() - start})


def _tables(job: ImportJob, path: str, wanted: pa.Table) -> Iterator[pa.Table]:
    value_bytes = max(kind.bit_width // 8 for kind in job.source.value_types.values())
    size = shard_files.rows_of_group(list(job.source.widths.values()), value_bytes)
    for name in ("content", "computed_on"):
        wanted = wanted.append_column(name, pa.nulls(len(wanted), pa.string()))
    version = wanted["version"][0].as_py()
    _refuse_other(job, path, version)
    row = 0
    for lists in readymade.batches(job.source, path, size):
        n = len(next(iter(lists.values())))
        fixed = [wanted[c.name].slice(row, n) for c in EMBEDDINGS.columns]
        yield pa.Table.from_arrays([*fixed, *lists.values()], schema=job.schema)
        row += n
    _refuse_other(job, path, version)  # lest it was replaced on the way


def _refuse_other(job: ImportJob, path: str, version: str) -> None:
    found = job.source.version(path)
    if found != version:
        raise DatasetError(
            f"{job.source.where(path)} must be as it was indexed, version {version}, got {found}; "
            f"run the index stage again"
        )

"""Files of ready-made embeddings become shards, every value unchanged, or are refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from kdsspark.config import EmbeddingsDataset
from kdsspark.datasets import readymade
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import index
from kdsspark.stages.embed.import_task import ImportFiles, ImportJob, import_file
from kdsspark.stages.embed.shard_task import ShardItem
from kdsspark.stages.embed.shards import files as shard_files
from kdsspark.stages.embed.shards import ranges, sharding
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import EMBEDDINGS
from tests.studies import write_embeddings

PAIR = Pair("clip", "mine")
Layers = dict[str, NDArray[Any]]


def layers(n: int, start: float = 0.0) -> Layers:
    """A layer of float32 and one of float64, each value another."""
    values = np.arange(start, start + 5 * n).reshape(n, 5)
    return {"x": values[:, :3].astype(np.float32), "y": values[:, 3:] / 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, of nine rows and of four."""
    for name, n in (("one", 9), ("two", 4)):
        write(tmp_path / "mine" / f"{name}.parquet", n)
    return tmp_path / "mine"


def write(path: Path, n: int, start: float = 0.0) -> None:
    write_embeddings(path, layers(n, start), (["a", "b", "c"] * 4)[:n])


@pytest.fixture
def job(output: Output, folder: Path) -> ImportJob:
    """The files are indexed."""
    dataset = EmbeddingsDataset(name=PAIR.dataset, network=PAIR.network, embeddings=str(folder))
    index.write_index(output, dataset)
    return ImportJob(output, readymade.source(dataset))


def planned(job: ImportJob) -> Iterator[Shard]:
    """The shards, a file each."""
    images = index.images(job.output, PAIR.dataset)
    split = sharding.split(sharding.assign_files(images))
    return shards.write_plan(job.output, job.output.plans("embed", PAIR), split)


def found(job: ImportJob, shard: Shard) -> pa.Table:
    return parquet.read_file(job.output, EMBEDDINGS.part(shard.name, *PAIR))


@pytest.mark.parametrize("group_bytes", [1, 2 * 8 * 3, 1 << 20])
def test_every_row_is_copied_with_its_id_and_class(
    job: ImportJob, monkeypatch: pytest.MonkeyPatch, group_bytes: int
) -> None:
    monkeypatch.setattr(shard_files, "_GROUP_BYTES", group_bytes)
    images = {row["image_id"]: row for row in index.images(job.output, "mine").to_pylist()}
    for shard, n in zip(list(planned(job)), (9, 4), strict=True):
        outcome = import_file(job, shard)
        assert outcome.counts == {
            "images": n,
            "embedded": n,
            "failed": 0,
            "reused": 0,
            "computed": n,
        }
        assert outcome.seconds.keys() == {"copy"}
        rows = found(job, shard)
        assert rows.schema.field("x").type.value_type == pa.float32()
        assert rows.schema.field("y").type.value_type == pa.float64()
        values = {name: np.array(rows[name].to_pylist()) for name in ("x", "y")}
        for name, expected in layers(n).items():
            assert np.array_equal(values[name], expected)
        for row in rows.select([c.name for c in EMBEDDINGS.columns]).to_pylist():
            assert row.pop("content") is None  # nobody has seen its image
            assert row.pop("computed_on") is None
            assert row == {key: images[row["image_id"]][key] for key in row}
        uris = [images[i]["uri"].rpartition("#")[2] for i in rows["image_id"].to_pylist()]
        assert uris == [str(n) for n in range(n)]
        file = pq.ParquetFile(job.output.path(EMBEDDINGS.part(shard.name, *PAIR)))
        assert file.num_row_groups == {1: n, 2 * 8 * 3: -(-n // 2)}.get(group_bytes, 1)


def test_ranges_are_written_with_the_import(job: ImportJob) -> None:
    (shard, _) = planned(job)
    import_file(job, shard)
    kept = parquet.read_file(
        job.output, ranges.path_of(EMBEDDINGS.part(shard.name, *PAIR)), ["layer", "lo", "hi"]
    )
    values = layers(9)
    for column, of in (("lo", np.min), ("hi", np.max)):
        expected = [of(values[name], axis=0).tolist() for name in ("x", "y")]
        assert kept[column].to_pylist() == [*expected[0], *expected[1]]
    assert kept["layer"].to_pylist() == ["x"] * 3 + ["y"] * 2


@pytest.mark.parametrize("n_rows", [6, 9, 12])
def test_a_file_that_is_not_as_it_was_indexed_is_refused(
    job: ImportJob, folder: Path, n_rows: int
) -> None:
    (shard, _) = planned(job)
    file = folder / "one.parquet"
    write(file, n_rows, start=1)
    os.utime(file, ns=(1, 1))
    with pytest.raises(DatasetError) as caught:
        import_file(job, shard)
    line = str(caught.value)
    assert line.startswith(f"dataset mine: {file} must be as it was indexed, version ")
    assert line.endswith("-1; run the index stage again")
    assert job.output.files("embeddings") == []


def test_a_file_that_is_replaced_while_it_is_read_is_refused(
    job: ImportJob, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shard, _) = planned(job)
    batches = readymade.batches

    def replacing(*arguments: Any) -> Iterator[Any]:
        yield from batches(*arguments)
        write(folder / "one.parquet", 9, start=7)
        os.utime(folder / "one.parquet", ns=(1, 1))

    monkeypatch.setattr(readymade, "batches", replacing)
    with pytest.raises(DatasetError, match="must be as it was indexed"):
        import_file(job, shard)
    assert job.output.files("embeddings") == []


def test_each_file_is_imported_from_its_own_source(job: ImportJob) -> None:
    (shard, _) = planned(job)
    item = ShardItem(name=PAIR.item(shard.name), digest="d-0", pair=PAIR, shard=shard)
    assert ImportFiles({PAIR: job})(item).counts["embedded"] == 9
    assert len(found(job, shard)) == 9
    with pytest.raises(KeyError):
        ImportFiles({Pair("clip", "other"): job})(item)

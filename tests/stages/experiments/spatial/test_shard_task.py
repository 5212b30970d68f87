"""The file of maps of one shard, of made-up maps; without Spark and without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from kdsspark.config import Embed
from kdsspark.network.map_shape import MapShape
from kdsspark.output.output import Output
from kdsspark.stages.embed.again import Readable
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.stages.experiments.spatial import shard_task
from kdsspark.stages.experiments.spatial.shard_task import ShardOfMaps, columns_of, schema_of
from tests.stages.embed.fakes import PAIR, SPEC

SHAPES = {"wide": MapShape(5, 4), "narrow": MapShape(3, 2), "none": MapShape(7, 0)}
IMAGES = [Readable(f"{n:02d}", n % 3, None, np.full((2, 2, 3), n, np.uint8)) for n in range(5)]


def test_a_layer_has_a_column_for_each_pooling_of_each_grid_that_fits() -> None:
    found = columns_of("grids", SHAPES)
    assert list(found) == [
        *(f"wide {how} {n}x{n}" for n in (1, 2, 3) for how in ("mean", "max")),
        *(f"narrow {how} {n}x{n}" for n in (1, 2) for how in ("mean", "max")),
    ]
    places = np.arange(2 * (1 + 4 + 9))
    cut = [places[some].tolist() for layer, some in found.values() if layer == "wide"]
    assert [place for places in cut for place in places] == places.tolist()
    assert [len(places) for places in cut] == [1, 1, 4, 4, 9, 9]


def test_whole_maps_have_a_column_a_layer() -> None:
    assert columns_of("maps", SHAPES) == {name: (name, slice(None)) for name in SHAPES}


def _seen(images: list[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """[images, 10, units] of both layers, told by the first pixel."""
    grid = np.arange(10 * 3, dtype=np.float32).reshape(10, 3)
    return {"narrow": np.stack([100 * float(image[0, 0, 0]) + grid for image in images])}


def _write(
    output: Output, monkeypatch: pytest.MonkeyPatch, see: Callable[..., Any], size: int
) -> shard_task.Outcome:
    @contextmanager
    def batches(*_: object) -> Iterator[Iterator[list[Readable]]]:
        yield iter([IMAGES[:2], IMAGES[2:4], IMAGES[4:]])

    monkeypatch.setattr(shard_task.again, "batches", batches)
    shapes = {"narrow": SHAPES["narrow"]}
    columns = columns_of("grids", shapes)
    job = ImageJob(output, PAIR, SPEC, "", Embed())
    item = ShardOfMaps(name=PAIR.item("s"), digest="d", size=size, shard=Shard("s", "d", size))
    schema = schema_of(columns, shapes)
    return shard_task.write_seen(item, job, "maps.parquet", lambda _: see, columns, schema)


def test_a_row_has_the_cells_of_all_units_and_the_file_the_shape_of_the_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output.at(str(tmp_path))
    outcome = _write(output, monkeypatch, _seen, 7)
    assert outcome.counts == {"images": 5, "failed": 2}  # of the shard, two could not be read
    assert set(outcome.seconds) >= {"compute", "write"}
    rows = pq.read_table(tmp_path / "maps.parquet")
    assert rows["image_id"].to_pylist() == [image.id for image in IMAGES]
    assert rows["class_id"].to_pylist() == [image.class_id for image in IMAGES]
    for n, row in enumerate(rows.to_pylist()):
        (values,) = _seen([IMAGES[n].pixels]).values()
        for name, some in {
            "mean 1x1": slice(0, 1),
            "max 1x1": slice(1, 2),
            "mean 2x2": slice(2, 6),
            "max 2x2": slice(6, 10),
        }.items():
            assert row[f"narrow {name}"] == values[0, some].ravel().tolist()
    assert shard_task.read_shape(output, "maps.parquet", "narrow") == SHAPES["narrow"]


def test_a_task_that_fails_leaves_no_file_and_its_gpu_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = []
    monkeypatch.setattr(shard_task.gpus, "release", lambda: released.append(True))

    def fails(images: list[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        if len(images) == 1:
            raise MemoryError
        return _seen(images)

    with pytest.raises(MemoryError):
        _write(Output.at(str(tmp_path)), monkeypatch, fails, 5)
    assert released == [True]
    assert not (tmp_path / "maps.parquet").exists()

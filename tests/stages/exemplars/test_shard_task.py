"""Rankings of one file of embeddings and of one shard of images, against numpy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kdsspark.output import parquet
from kdsspark.output.names import BEST
from kdsspark.output.output import Output
from kdsspark.stages.embed.again import Readable
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.stages.exemplars import shard_task
from kdsspark.stages.exemplars.ranking import NONE, SCHEMA, Ranking
from kdsspark.stages.exemplars.shard_task import FindExemplars, LookThrough
from tests.stages.embedded import PAIR, Embedded, embed, image_id

TOP, N = 5, 150


@pytest.fixture
def embedded(tmp_path: Path) -> Embedded:
    """Ties, undefined values, and a unit with fewer values than ranks."""
    rng = np.random.default_rng(0)
    first = rng.integers(-3, 3, (N, 4)).astype(np.float32)
    first[rng.random((N, 4)) < 0.2] = np.nan
    first[:, 3] = np.where(np.arange(N) < N - 3, np.inf, 1)
    layers = {"l": first, "m": rng.random((N, 2))}
    return embed(tmp_path, layers, [0] * N, [N], row_group=100)


def _ranked(found: Ranking) -> list[list[tuple[str, float]]]:
    """Unit -> ids and values, best first."""
    return [
        [(found.ids[i], value) for i, value in zip(images, values, strict=True) if i != NONE]
        for images, values in zip(found.image.tolist(), found.activation.tolist(), strict=True)
    ]


def _expected(values: NDArray[Any], ids: list[str]) -> list[list[tuple[str, float]]]:
    """By sorting: the highest finite values first, ties by id."""
    return [
        sorted(
            ((i, float(v)) for i, v in zip(ids, column, strict=True) if np.isfinite(v)),
            key=lambda one: (-one[1], one[0]),
        )[:TOP]
        for column in values.T
    ]


@pytest.mark.parametrize("at_once", [1, 7, 64, 1000])
def test_embeddings_are_ranked_by_value_however_many_at_once(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(shard_task, "_AT_ONCE", at_once)
    (part,) = embedded.parts
    found = shard_task.of_embeddings(embedded.output, part, TOP)
    values = np.concatenate([layer.astype(float) for layer in embedded.layers.values()], axis=1)
    assert _ranked(found) == _expected(values, [image_id(n) for n in range(N)])
    assert found.n_active.tolist() == (values > 0).sum(0).tolist()
    assert found.n == N
    assert (found.place == NONE).all()


def test_a_task_writes_the_ranking_of_its_file(embedded: Embedded) -> None:
    item = LookThrough(name=PAIR.item("shard-0"), digest="d", size=N)
    outcome = FindExemplars(embedded.output, TOP, {})(item)
    assert outcome.counts == {"images": N, "failed": 0}
    rows = parquet.read_file(embedded.output, embedded.output.beside(BEST, PAIR, "shard-0"))
    assert rows.schema.equals(SCHEMA)
    assert len(rows) == 6 * TOP
    assert rows["image_id"][3 * TOP : 4 * TOP].null_count == TOP - 3  # unit 3 has three values


def _network(images: list[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """[images, 2, 4]: the first pixel and its negative, at places that tell the unit."""
    peaks = [[(float(i[0, 0, 0]), 1, 2, 0), (-float(i[0, 0, 0]), 3, 4, 0)] for i in images]
    return {"l": np.array(peaks, np.float32)}


@pytest.mark.parametrize("readable", [9, 3, 0])
def test_images_of_a_shard_are_ranked_by_their_maxima_with_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: int
) -> None:
    levels = np.random.default_rng(1).permutation(9)[:readable]
    images = [
        Readable(f"{n}", 0, f"content {n}", np.full((4, 6, 3), level, np.uint8))
        for n, level in enumerate(levels)
    ]

    @contextmanager
    def batches(*_: object) -> Iterator[Iterator[list[Readable]]]:
        yield iter([some for some in (images[:4], images[4:]) if some])

    def place(_: object, peaks: NDArray[np.float32], image: Readable) -> NDArray[np.int32]:
        height, width, _ = image.pixels.shape
        y, x, view = peaks[:, 1:].astype(np.int32).T
        box = np.broadcast_to(np.array([0, 0, width, height], np.int32), (2, 4))
        return np.concatenate([np.stack([y, x, view], -1), box], axis=1)

    monkeypatch.setattr(shard_task.again, "batches", batches)
    monkeypatch.setattr(shard_task.image_job, "extractor", lambda _: _network)
    monkeypatch.setattr(shard_task, "_place", place)  # patches have tests of their own
    job: Any = SimpleNamespace(spec=SimpleNamespace(layers=[SimpleNamespace(units=2)]))
    output = Output.at(str(tmp_path))
    item = LookThrough(name=PAIR.item("s"), digest="d", size=9, shard=Shard("s", "d", 9))
    outcome = FindExemplars(output, TOP, {PAIR: job})(item)
    assert outcome.counts == {"images": readable, "failed": 9 - readable}
    rows = parquet.read_file(output, output.beside(BEST, PAIR, "s")).to_pylist()
    for unit, (sign, y, x) in enumerate([(1, 1, 2), (-1, 3, 4)]):
        own = [row for row in rows[unit * TOP : (unit + 1) * TOP] if row["image_id"]]
        order = np.argsort(-sign * levels)[:TOP]
        assert [row["image_id"] for row in own] == [f"{n}" for n in order]
        assert [row["activation"] for row in own] == [sign * levels[n] for n in order]
        assert [row["content"] for row in own] == [f"content {n}" for n in order]
        assert {(row["y"], row["x"], row["x1"], row["y1"]) for row in own} <= {(y, x, 6, 4)}
        assert {row["n"] for row in rows} == {readable}

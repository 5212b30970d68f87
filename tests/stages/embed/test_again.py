"""Images of shards that are embedded, read once more; without Spark and without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdsspark.engine.stage import Context
from kdsspark.images.clock import Clock
from kdsspark.images.loading import content_hash
from kdsspark.stages.embed import again
from kdsspark.stages.embed.again import Readable
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shard_task import embed_shard
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.state import Shard
from tests.stages.embed.fakes import PAIR, Folder, planned
from tests.stages.embed.world import World

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture
def shard(job: ImageJob, folder: Folder) -> Shard:
    """Seven images, of which number 2 failed."""
    found = planned(job.output, [folder.put(n, None if n == 2 else 10 * n) for n in range(7)])
    embed_shard(job, found)
    return found


def _read(job: ImageJob, shard: Shard) -> list[list[Readable]]:
    with again.batches(job, shard, Clock()) as found:
        return list(found)


def test_embedded_images_come_in_order_as_many_at_once_as_the_network_takes(
    job: ImageJob, folder: Folder, shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again.image_job, "batch_and_call", lambda _: (2, 4))
    found = _read(job, shard)
    assert [[image.id for image in some] for some in found] == [
        ["00", "01", "03", "04"],
        ["05", "06"],
    ]
    for image in (image for some in found for image in some):
        path = folder.path / f"{image.id}.png"
        assert np.array_equal(image.pixels, np.asarray(Image.open(path)))
        assert (image.content, image.class_id) == (content_hash(path.read_bytes()), 0)


def test_what_failed_is_not_read_again_even_if_it_works_by_now(
    job: ImageJob, folder: Folder, shard: Shard
) -> None:
    folder.put(2, 20)
    assert "02" not in {image.id for some in _read(job, shard) for image in some}


def test_what_can_no_longer_be_read_is_left_out(
    job: ImageJob, folder: Folder, shard: Shard
) -> None:
    (folder.path / "03.png").unlink()
    (folder.path / "06.png").write_bytes(b"broken")
    assert [image.id for some in _read(job, shard) for image in some] == ["00", "01", "04", "05"]
    for path in folder.path.iterdir():
        path.unlink()
    assert _read(job, shard) == []


def test_the_rows_of_the_shards_to_read_are_written_for_their_tasks(world: World) -> None:
    world.settings = {"shard_images": 2}
    world.images(a=4, b=3)
    world.run()
    context: Context = world.context()
    names = sorted(world.receipts())
    assert len(names) > 2
    found = dict(again.shards_to_read(context, PAIR, "look", names[1:]))
    assert sorted(found) == names[1:]
    ids = {
        row["image_id"]
        for shard in found.values()
        for row in shards.planned_rows(world.output, shard).to_pylist()
    }
    assert len(ids) == sum(world.receipts()[name].counts["images"] for name in names[1:])
    assert all(shard.name == name.part for name, shard in found.items())
    assert list(again.shards_to_read(context, PAIR, "look", [])) == []
    assert Path(world.output.path(world.output.plans("look", PAIR))).is_dir()

"""The stage ``embed``: what it plans of a dataset, what a run computes, and what it never repeats.

Whole runs, with a network of made-up features and without Spark.
"""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdsspark import config
from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.gpus import Slots
from kdsspark.engine.stage import Context, Standing
from kdsspark.errors import DatasetError, TooManyFailuresError
from kdsspark.images.loading import content_hash
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, index
from kdsspark.stages.embed import stage as embed
from kdsspark.stages.embed.shards import state as shards
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES
from tests.stages.embed.fakes import PAIR
from tests.stages.embed.world import World
from tests.studies import write_embeddings

# -- a run ---------------------------------------------------------------------------------------


def test_all_images_are_embedded_once(world: World) -> None:
    world.images(a=9, b=8)
    world.image("a/900", -1)
    assert world.run() == 18
    world.check()
    assert len(world.receipts()) == 5  # shards of four at most, and the last one takes the rest
    before = world.times()
    assert world.run() == 0
    after = world.times()
    assert {p: t for p, t in after.items() if before.get(p) != t}.keys() == {
        "images/dataset=set/part-0.parquet"
    }
    assert not [path for path in world.folder.rglob(".tmp-*")]
    assert sum(world.network.batches) == 17


def test_a_dataset_without_failures_has_a_part_too(world: World) -> None:
    world.images(a=2)
    world.run()
    path = "failures/network=net/dataset=set/none.parquet"
    assert world.output.files("failures") == [path]
    assert parquet.schema(world.output, path).equals(FAILURES.schema)


def test_what_is_not_indexed_is_refused(world: World) -> None:
    with pytest.raises(DatasetError, match=r"^dataset set: is not indexed, run the index stage fi"):
        embed.run(world.context())


@pytest.mark.parametrize(("limit", "refused"), [(0.2, True), (0.25, False)])
def test_too_many_failures_are_refused_when_all_is_done(
    world: World, limit: float, refused: bool
) -> None:
    world.settings = {"max_failures": limit}
    world.images(a=3)
    world.image("b/1", -1)
    if refused:
        with pytest.raises(TooManyFailuresError) as caught:
            world.run()
        assert str(caught.value) == (
            "dataset set: 1 of 4 images failed by network net, embed.max_failures allows 20.0%; "
            "the table failures says why"
        )
    else:
        world.run()
    world.check()


def test_images_that_go_are_removed_and_new_classes_move_the_others(world: World) -> None:
    paths = world.images(a=6, b=6)
    assert world.run() == 12
    paths[0].unlink()
    paths[7].unlink()
    world.image("aa/000", 3)
    assert world.run() == 1
    world.check()
    for path in paths[1:6]:
        path.unlink()
    assert world.run() == 0
    world.check()
    assert world.standing() == Standing(done=6)


def test_a_few_images_a_night_fill_the_last_shard(world: World) -> None:
    world.images(a=9, b=8)
    assert world.run() == 17
    shards_before = len(world.output.files("embeddings"))
    for night in range(5):
        world.image(f"a/{100 + night}", 7)
        assert world.run() == 1
        world.check()
    # New shards hold 2, 2 and 1; they may have four.
    assert len(world.output.files("embeddings")) == shards_before + 3


@pytest.mark.parametrize("size", [1, 2, 100])
def test_another_size_of_shards_is_for_new_images_alone(world: World, size: int) -> None:
    world.images(a=9, b=8)
    world.run()
    before = world.receipts()
    world.settings = {"shard_images": size}
    assert world.run() == 0
    assert world.receipts() == before


def test_failures_are_tried_again_when_asked_to(world: World) -> None:
    world.images(a=9, b=8)
    broken = [world.image(f"a/90{n}", 1) for n in range(3)]
    good = {path: path.read_bytes() for path in broken}

    def write(path: Path, data: bytes) -> None:  # in the same version, as far as the store says
        path.write_bytes(data)
        os.utime(path, ns=(1, 1))

    for path in broken:
        write(path, b"b" * len(good[path]))
    world.run()
    for path in broken[:2]:
        write(path, good[path])
    before, files = world.receipts(), world.times("embeddings")
    assert world.run() == 0
    assert world.receipts() == before
    assert world.run(retry_failures=True) == 3
    # What was embedded before is not even rewritten, but in a shard that had room for more.
    now = world.times("embeddings")
    assert sum(now[path] != time for path, time in files.items()) <= 1 < len(files)
    (failed,) = parquet.read(world.output, FAILURES).to_pylist()
    assert failed["uri"] == str(broken[2])
    world.check()
    assert world.run(retry_failures=True) == 1


def test_files_that_were_touched_are_not_embedded_again(world: World) -> None:
    paths = world.images(a=9, b=8)
    broken = world.image("a/900", -1)
    world.run()
    n_files = len(world.output.files("embeddings"))
    for path in (*paths, broken):
        os.utime(path, ns=(1, 1))
    world.image("b/000", 99)  # which is paths[9]
    assert world.run() == 1
    world.check()
    assert len(world.output.files("embeddings")) == n_files
    receipts = world.receipts()
    world.run()
    assert world.receipts() == receipts


@pytest.mark.parametrize("scheme", ["", "local://"])  # files of this machine, and URLs
def test_only_the_versions_of_a_manifest_count(world: World, scheme: str) -> None:
    listing = world.folder / "list.csv"
    same, untold, told, new, *others = world.images(a=9, b=8)
    manifest = {"name": "set", "path": str(listing), "layout": "manifest"}
    parsed = config.parse(world.config.model_dump() | {"datasets": [manifest]})

    def night(versions: dict[Path, str]) -> int:
        before = world.receipts()
        rows = [f"{scheme}{path},{path.parent.name},{v}\n" for path, v in versions.items()]
        listing.write_text("path,label,version\n" + "".join(rows))
        index.write_index(world.output, parsed.datasets[0])
        embed.run(Context(world.session, world.output, parsed))
        return world.computed_since(before)

    def held() -> dict[Path, tuple[str, str]]:
        rows = parquet.read(world.output, EMBEDDINGS, columns=["image_id", "version", "content"])
        uris = parquet.read(world.output, IMAGES, columns=["image_id", "uri"])
        return {
            Path(row["uri"].removeprefix(scheme)): (row["version"], row["content"])
            for row in rows.join(uris, "image_id").to_pylist()
        }

    versions = dict.fromkeys((same, untold, told, *others), "1")
    assert night(versions) == 16
    expected = {path: ("1", content_hash(path.read_bytes())) for path in versions}
    assert held() == expected
    for path in (untold, told):
        shutil.copy(others[-1], path)
    assert night(versions) == 0
    assert held() == expected
    versions |= {same: "2", told: "2", new: "1"}
    del versions[others[0]], expected[others[0]]
    assert night(versions) == 1  # what is new; the other bytes are those of another image
    expected |= {p: (versions[p], content_hash(p.read_bytes())) for p in (same, told, new)}
    assert held() == expected


def test_shards_of_another_fingerprint_are_not_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever made the fingerprint change; the definitions would have refused most of it."""
    world.images(a=9, b=8)
    world.run()
    before = world.receipts()
    monkeypatch.setattr(NetworkSpec, "fingerprint", property(lambda _: "0123456789abcdef"))
    assert world.standing() == Standing(missing=17)
    assert world.run() == 17
    assert len(before) == len(world.receipts())
    assert not set(world.receipts()) & set(before)
    world.check()


@pytest.mark.parametrize("lost", ["embeddings", "failures", "receipt"])
def test_a_lost_file_is_made_again(world: World, lost: str) -> None:
    """Even where it then holds what it should have held: who knows what it did hold."""
    world.images(a=6, b=6)
    world.image("a/900", -1)
    world.run()
    before = world.receipts()
    shard = next(name for name, r in before.items() if r.counts["failed"])
    n = before[shard].counts["embedded"]
    if lost == "receipt":
        EMBED.receipts(world.output).remove(shard)
    else:
        table = EMBEDDINGS if lost == "embeddings" else FAILURES
        world.output.remove(table.part(shard.part, *PAIR))
    assert world.run() == {"embeddings": n, "failures": 1, "receipt": n + 1}[lost]
    world.check()
    # So that what follows from it is made again, too; the image that failed may lie elsewhere.
    assert world.receipts().get(shard) != before[shard]


def test_a_run_killed_while_it_rewrote_shards_embeds_nothing_twice(world: World) -> None:
    """A shard that is begun anew has its commit taken back; its files are the old ones, or new."""
    world.images(a=9, b=8)
    world.run()
    world.image("aa/000", 5)  # moves class b
    for receipt in world.receipts().values():
        EMBED.receipts(world.output).write(replace(receipt, digest=""))
    killed = world.folder / "out/embeddings/network=net/dataset=set/.tmp-0123-shard.parquet"
    killed.touch()
    assert world.run() == 1
    world.check()
    assert not killed.exists()


def test_where_the_seconds_went_is_shown_and_kept(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.images(a=9, b=8)
    world.run()
    (line,) = (text for text in capsys.readouterr().err.splitlines() if "in tasks" in text)
    assert line.startswith("embed: 17 images in ")
    for activity in ("load", "compute", "wait", "read", "decode", "write"):
        kept = [receipt.seconds[activity] for receipt in world.receipts().values()]
        assert f" {activity} {sum(kept):.1f} s" in line
    world.run()
    assert "in tasks" not in capsys.readouterr().err


# -- plans ---------------------------------------------------------------------------------------


def test_a_plan_only_reads_and_says_how_far_a_dataset_is(world: World) -> None:
    assert world.standing() == Standing()
    paths = world.images(a=9, b=8)
    broken = world.image("a/900", -1)

    def indexed() -> Standing:
        index.write_index(world.output, world.config.datasets[0])
        before = world.times()
        found = world.standing()
        assert world.times() == before
        return found

    assert indexed() == Standing(missing=18)
    world.run()
    assert world.standing() == Standing(done=17, failed=1)
    world.image("b/100", 3)
    assert indexed() == Standing(done=17, failed=1, missing=1)
    world.image("aa/000", 3)  # moves class b, in whatever shards it is
    found = indexed()
    assert found.missing == 2
    assert found.stale >= 8
    assert found.done + found.failed + found.stale == 18
    world.run()
    for path in (broken, *paths[:3]):
        path.unlink()
    found = indexed()
    assert (found.missing, found.failed) == (0, 0)
    assert found.done + found.stale == 16
    world.run()
    assert world.standing() == Standing(done=16)


def test_without_a_prepared_network_all_is_missing(world: World) -> None:
    world.images(a=3)
    index.write_index(world.output, world.config.datasets[0])
    world.output.remove(world.output.network("net"))
    assert world.standing() == Standing(missing=3)


def test_a_shard_travels_without_the_network(world: World) -> None:
    world.images(a=40)
    index.write_index(world.output, world.config.datasets[0])
    items = embed._work(world.output, world.config, PAIR).items
    assert len(items) == 10
    assert sum(item.size for item in items) == 40
    assert max(len(pickle.dumps(item)) for item in items) < 1_000
    assert len({item.digest.rpartition("-")[2] for item in items}) == 1  # one attempt
    for item in items:
        assert item.name == PAIR.item(item.shard.name)
        assert item.digest.startswith(f"{item.shard.digest}-")
        assert len(shards.planned_rows(world.output, item.shard)) == item.shard.n_images


# -- images and ready-made embeddings ------------------------------------------------------------


@pytest.fixture
def both(world: World) -> Config:
    """A study of images and of two files of ready-made embeddings."""
    world.images(a=5, b=4)
    for name in ("one", "two"):
        values = np.arange(12, dtype=np.float32).reshape(4, 3)
        write_embeddings(world.folder / "mine" / f"{name}.parquet", {"x": values}, list("abab"))
    mine = {"name": "mine", "embeddings": str(world.folder / "mine"), "network": "clip"}
    raw = world.config.model_dump()
    parsed = config.parse(raw | {"datasets": [*raw["datasets"], mine]})
    for dataset in parsed.datasets:
        index.write_index(world.output, dataset)
    return parsed


def test_gpus_are_for_images_alone(
    world: World, both: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "slots", lambda _: Slots(at_once=1))
    embed.run(Context(world.session, world.output, both))
    # One after the other the shards of images; both files at once; the duplicates.
    assert world.session.sparkContext.jobs == [1, 1, 2, 1]
    world.check()
    mine = Pair("clip", "mine")
    assert len(parquet.read(world.output, EMBEDDINGS, *mine)) == 8
    plan = embed.plan(world.output, both, mine)
    assert plan.standing(world.output) == Standing(done=8)
    embed.run(Context(world.session, world.output, both))
    assert world.session.sparkContext.jobs == [1, 1, 2, 1]


def test_a_file_of_embeddings_that_goes_takes_its_shard_along(world: World, both: Config) -> None:
    embed.run(Context(world.session, world.output, both))
    (world.folder / "mine" / "two.parquet").unlink()
    index.write_index(world.output, both.datasets[1])
    embed.run(Context(world.session, world.output, both))
    mine = Pair("clip", "mine")
    assert len(parquet.read(world.output, EMBEDDINGS, *mine)) == 4
    assert len(EMBED.receipts(world.output).of(mine)) == 1
    assert len([p for p in world.output.files("_ranges") if "dataset=mine" in p]) == 1


# -- the line of seconds -------------------------------------------------------------------------


def test_the_seconds_of_all_tasks_are_added_up() -> None:
    def receipt(computed: int, reused: int = 0, **seconds: float) -> Receipt:
        counts = {"computed": computed, "reused": reused}
        return Receipt(ItemName("net/set/s"), "d", counts, seconds)

    done = [receipt(3, compute=1.25, wait=0.5), receipt(4, compute=2.0, copy=0.25, other=9.0)]
    assert embed.breakdown(done, 3.5) == (
        "embed: 7 images in 3.5 s, 2.0/s; in tasks: compute 3.2 s, wait 0.5 s, copy 0.2 s"
    )
    assert embed.breakdown([*done, receipt(0, reused=2)], 3.5).startswith(
        "embed: 7 images in 3.5 s, 2.0/s, 2 more with features of equal images; in tasks: compute"
    )

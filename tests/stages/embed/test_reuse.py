"""Features of bytes that an output holds are not computed again, and are those of a fresh run.

Whole runs, with a network of made-up features that counts its images, and without Spark.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.stages.embed import image_job, known, processors
from kdsspark.stages.embed import stage as embed
from kdsspark.stages.embed.shard_task import EmbedImages
from kdsspark.stages.embed.shards import sharding
from kdsspark.tables import EMBEDDINGS
from tests.marks import all_but
from tests.stages.embed.fakes import COMPUTED_ON, PAIR
from tests.stages.embed.world import World

B = "another made-up processor"


def forwards(world: World, **options: Any) -> int:
    """Run; how many images went through the network, by its own count."""
    before = sum(world.network.batches)
    world.run(**options)
    for name in world.datasets:
        world.check(Pair("net", name))
    assert not [path for path in world.output.all_files("") if path.startswith("_reuse")]
    return sum(world.network.batches) - before


def reused(world: World) -> int:
    """By the receipts of the shards as they are."""
    return sum(receipt.counts["reused"] for receipt in world.receipts().values())


def kinds(world: World, pair: Pair = PAIR) -> dict[str, int]:
    """By the receipts, which must agree with the rows."""
    files = world.output.files(EMBEDDINGS.partition(*pair))
    rows = [row for path in files for row in parquet.read_file(world.output, path).to_pylist()]
    found = Counter(row.get("computed_on") or "unknown" for row in rows)
    assert processors.of_pair(world.output, pair) == found
    return dict(found)


def on(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The tasks of now on run on this kind of processor."""
    monkeypatch.setattr(image_job, "computed_on", lambda _: kind)


def forget_processors(world: World) -> None:
    """Make the output one of the version before, which did not record them."""
    for path in world.output.files("embeddings"):
        where = world.output.path(path)
        pq.write_table(pq.read_table(where, partitioning=None).drop(["computed_on"]), where)
    for receipt in world.receipts().values():
        counts = {k: n for k, n in receipt.counts.items() if k != "reused" and k[:3] != "on "}
        path = f"_receipts/embed/{receipt.item}.json"
        world.output.write_json(path, world.output.read_json(path) | {"counts": counts})


Begun = Callable[..., World]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nights")


@pytest.fixture
def begun(world: World, place: Path) -> Begun:
    """A world after its first run, which is made once for each number of images a shard.

    It always lies in the same folder, because the tables of an output name the images' paths.
    """

    def put(**settings: int) -> World:
        kept, now = place / f"after-{settings}", place / "now"
        shutil.rmtree(now, ignore_errors=True)
        shutil.copytree(kept if kept.exists() else world.folder, now)
        world.folder, world.settings = now, settings
        if not kept.exists():
            world.images(a=9, b=8)
            assert forwards(world) == 17
            shutil.copytree(now, kept)
        return world

    return put


# -- moves ---------------------------------------------------------------------------------------


def copied(set_: Path) -> None:
    shutil.copy(set_ / "a" / "001.png", set_ / "b" / "777.png")


def renamed(set_: Path) -> None:
    (set_ / "a" / "001.png").rename(set_ / "a" / "x.png")


def moved_between_classes(set_: Path) -> None:
    (set_ / "a" / "001.png").rename(set_ / "b" / "901.png")
    (set_ / "b" / "001.png").rename(set_ / "a" / "901.png")


def swapped(set_: Path) -> None:
    a, b, beside = set_ / "a" / "001.png", set_ / "b" / "002.png", set_ / "beside"
    a.rename(beside)
    b.rename(a)
    beside.rename(b)


def class_renamed(set_: Path) -> None:
    (set_ / "a").rename(set_ / "z")


def everything_renamed(set_: Path) -> None:
    for path in sorted(set_.rglob("*.png")):
        path.rename(path.with_name(f"new-{path.name}"))


def overwritten_with_a_copy(set_: Path) -> None:
    shutil.copy(set_ / "a" / "001.png", set_ / "a" / "002.png")


CHANGES = (
    copied,
    renamed,
    moved_between_classes,
    swapped,
    class_renamed,
    everything_renamed,
    overwritten_with_a_copy,
)


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_bytes_that_the_output_holds_are_not_computed_again(
    begun: Begun, change: Any, size: int
) -> None:
    world = begun(shard_images=size)
    change(world.folder / "set")
    assert forwards(world) == 0
    assert reused(world) > 0
    assert kinds(world) == {COMPUTED_ON: sum(1 for _ in (world.folder / "set").rglob("*.png"))}
    assert forwards(world) == 0


def test_new_images_beside_moved_ones_are_computed(begun: Begun) -> None:
    world = begun()
    class_renamed(world.folder / "set")
    new = [world.image(f"z/{n}", 99) for n in range(200, 203)]
    assert forwards(world) == len(new)


def test_images_of_a_shard_that_are_equal_are_computed_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pass, in a row group and across row groups, which have three rows here."""
    monkeypatch.setattr(sharding, "MIN_SHARD_IMAGES", 100)
    _twins(world)
    assert forwards(world) == 9
    assert len(world.receipts()) == 1
    assert reused(world) == 9


def test_what_a_task_remembers_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "MIN_SHARD_IMAGES", 100)
    monkeypatch.setattr(known, "_REMEMBERED_BYTES", 4 * 7 * 3)  # three images
    _twins(world)
    assert 9 < forwards(world) < 18


def _twins(world: World) -> None:
    """Nine images, each there twice."""
    for n in range(9):
        path = world.image(f"a/{n}", n)
        shutil.copy(path, path.with_name(f"{n + 100}.png"))


# -- datasets ------------------------------------------------------------------------------------


def test_a_second_dataset_reuses_what_the_first_one_has(begun: Begun) -> None:
    world = begun()
    shutil.copytree(world.folder / "set", world.folder / "more")
    world.image("a/300", 99, "more")
    world.datasets = ("set", "more")
    assert forwards(world) == 1
    assert kinds(world, Pair("net", "more")) == {COMPUTED_ON: 18}


def test_images_that_move_from_one_dataset_to_another_are_not_computed_again(world: World) -> None:
    world.images(a=9, b=8)
    world.image("c/1", 3, "more")
    world.datasets = ("set", "more")
    assert forwards(world) == 18
    for name in ("001", "004", "005"):
        (world.folder / "set/a" / f"{name}.png").rename(world.folder / "more/c" / f"{name}.png")
    assert forwards(world) == 0


# -- processors ----------------------------------------------------------------------------------


def test_features_of_another_kind_of_processor_are_not_reused(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begun()
    copied(world.folder / "set")
    on(monkeypatch, B)
    assert forwards(world) == 1
    assert kinds(world) == {COMPUTED_ON: 17, B: 1}
    assert processors.mixtures(processors.of_pairs(world.output, [PAIR])) == [
        "dataset set by network net: embeddings mix 2 kinds of processors, whose last bits differ: "
        f"17 on {COMPUTED_ON}; 1 on {B}"
    ]
    assert (
        embed.closing(world.context())
        == processors.mixtures(processors.of_pairs(world.output, [PAIR]))[0]
    )
    # Both kinds are there now: each finds its own rows, in shards that mix them.
    for kind, name in ((COMPUTED_ON, "b/801"), (B, "b/802")):
        on(monkeypatch, kind)
        shutil.copy(world.folder / "set/a/001.png", world.folder / f"set/{name}.png")
        assert forwards(world) == 0
    assert kinds(world) == {COMPUTED_ON: 18, B: 2}


def test_an_output_of_the_version_before_is_continued(begun: Begun) -> None:
    world = begun()
    forget_processors(world)
    assert kinds(world) == {"unknown": 17}
    assert forwards(world) == 0
    assert not embed.closing(world.context())
    copied(world.folder / "set")  # nobody knows what its twin was computed on
    moved = world.folder / "set/a/003.png"
    moved.rename(moved.with_name("x.png"))
    assert forwards(world) == 2
    assert kinds(world) == {"unknown": 16, COMPUTED_ON: 2}
    class_renamed(world.folder / "set")
    assert forwards(world) == 7  # of the nine of the class, one was computed since; so was its twin


# -- interrupted ---------------------------------------------------------------------------------


# The number of tasks of the run that is killed, each time before another of them.
TASKS = {moved_between_classes: 3, everything_renamed: 4, swapped: 1}


@pytest.mark.parametrize(
    ("change", "after"),
    [(change, after) for change, n in TASKS.items() for after in range(n)],
)
def test_a_run_that_is_killed_loses_no_features(
    begun: Begun, change: Any, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begun()
    change(world.folder / "set")
    done = iter(range(after))

    def until(task: EmbedImages, item: Any) -> Any:
        if next(done, None) is None:
            raise RuntimeError("killed")
        return call(task, item)

    call, before = EmbedImages.__call__, sum(world.network.batches)
    with monkeypatch.context() as patch:
        patch.setattr(EmbedImages, "__call__", until)
        with pytest.raises(RuntimeError, match="killed"):
            world.run()
    assert forwards(world) == 0
    assert sum(world.network.batches) == before


def test_rows_that_another_task_has_replaced_are_computed(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever they are looked for in vain, and whatever reading them raises."""
    world = begun()
    errors = [FileNotFoundError(), OSError("torn"), pa.ArrowInvalid("no Parquet")]
    for n, error in enumerate(errors):
        shutil.copy(world.folder / "set/a/001.png", world.folder / f"set/b/80{n}.png")

        def torn(*_: object, error: Exception = error) -> Any:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(known, "parquet", SimpleNamespace(row_groups=torn))
            assert forwards(world) == 1


# -- any changes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", all_but([3], [1, 3, 4, 100]))
def test_any_nights_give_what_a_fresh_run_gives(world: World, size: int) -> None:
    """And no content goes through the network on two nights."""
    rng = random.Random(size)
    world.settings = {"shard_images": size}
    world.datasets = ("set", "more")
    for dataset in world.datasets:
        for n in range(rng.randint(1, 9)):
            world.image(f"{rng.choice('ab')}/{n}", rng.randint(0, 3), dataset)
    seen: set[str] = set()
    for _ in range(4):
        computed = forwards(world)
        rows = parquet.read(world.output, EMBEDDINGS, columns=["content"])["content"]
        now = set(rows.to_pylist())
        # Shards of one night do not know of each other: what is new in several is computed in each.
        fresh = [content for content in rows.to_pylist() if content not in seen]
        assert len(set(fresh)) <= computed <= len(fresh)
        seen = now
        _change(world, rng)


def _change(world: World, rng: random.Random) -> None:
    for dataset in world.datasets:
        paths = sorted((world.folder / dataset).rglob("*.png"))
        for path in rng.sample(paths, rng.randint(0, len(paths))):
            where = world.folder / rng.choice(world.datasets) / rng.choice("abc")
            where.mkdir(exist_ok=True)
            target = where / f"{rng.randint(100, 999)}.png"
            rng.choice([shutil.copy, shutil.move])(path, target)
        for n in range(rng.randint(0, 2)):
            world.image(f"a/{rng.randint(0, 9) + n}", rng.randint(0, 3), dataset)
        world.image("a/99999", 0, dataset)

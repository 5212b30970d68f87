"""What an output holds of shards, and what they are planned to hold."""

from pathlib import Path

import pyarrow as pa
import pytest

from kdsspark.output import parquet
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages.embed import shards
from kdsspark.stages.embed.shards import Shard
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES, embeddings_schema


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(str(tmp_path))


def put(store: Store, dataset: str, shard: str, embedded: list[str], failed: list[str]) -> None:
    fixed = [("class_id", 0), ("class_name", "c"), ("version", "v")]
    rows = [{"image_id": i, **dict(fixed), "fc": [0.5]} for i in embedded]
    for table, schema, content in (
        (EMBEDDINGS, embeddings_schema(["fc"]), rows),
        (
            FAILURES,
            FAILURES.schema,
            [
                {
                    "image_id": i,
                    "uri": i,
                    **dict(fixed),
                    "stage": "read",
                    "error": "E",
                    "message": "m",
                }
                for i in failed
            ],
        ),
    ):
        if content:
            path = f"{table.partition('net', dataset)}/{shard}.parquet"
            parquet.write(store, path, pa.Table.from_pylist(content, schema), schema)


def test_what_is_held_is_what_was_embedded_and_what_failed(store: Store) -> None:
    put(store, "d", "shard-1", ["1", "2"], ["3"])
    put(store, "d", "shard-2", [], ["4"])
    put(store, "d.e", "shard-3", ["5"], [])
    held = shards.held_rows(store, "net", "d").to_pydict()
    found = list(zip(held["shard"], held["image_id"], strict=True))
    assert found == [("shard-1", "1"), ("shard-1", "2"), ("shard-1", "3"), ("shard-2", "4")]
    nothing = shards.held_rows(store, "net", "other")
    assert (nothing.column_names, len(nothing)) == (["image_id", "shard"], 0)


def test_receipts_of_shards_with_lost_rows_lose_their_digest(store: Store) -> None:
    put(store, "d", "shard-1", ["1", "2"], ["3"])
    put(store, "d", "shard-2", ["4"], [])  # its failures are lost
    put(store, "d", "shard-3", ["5"], [])  # has no receipt
    counts = {"shard-1": 3, "shard-2": 2, "shard-4": 1}  # the last has no file
    committed = {name: Receipt(name, "x", {"images": n}) for name, n in counts.items()}
    held = shards.held_rows(store, "net", "d")
    assert shards.with_losses_known(held, committed) == {
        "shard-1": committed["shard-1"],
        "shard-2": Receipt("shard-2", "", {"images": 2}),
    }
    assert shards.with_losses_known(held.slice(0, 0), committed) == {}


def test_the_name_of_a_shard_is_that_of_its_file() -> None:
    assert shards.shard_name("embeddings/network=a/dataset=b/shard-12ab.parquet") == "shard-12ab"


# -- plans --------------------------------------------------------------------------------------


def planned(n_images: int) -> list[tuple[Shard, pa.Table]]:
    """Shards of two images with their rows."""
    rows = [(f"{n:02d}", f"/{n}", n % 3, f"c{n % 3}", "v") for n in range(n_images)]
    images = [dict(zip(IMAGES.schema.names, row, strict=True)) for row in rows]
    return [
        (Shard(f"shard-{n}", f"digest {n}", len(some)), pa.Table.from_pylist(some, IMAGES.schema))
        for n in range(-(-n_images // 2))
        for some in [images[2 * n : 2 * n + 2]]
    ]


@pytest.mark.parametrize("n_images", [0, 5, 6, 20])
def test_planned_rows_are_found_in_whatever_file_they_are(
    store: Store, monkeypatch: pytest.MonkeyPatch, n_images: int
) -> None:
    monkeypatch.setattr(shards, "_SHARDS_PER_PLAN_FILE", 3)
    plan = planned(n_images)
    located = list(shards.write_plan(store, "_plans/net/d", iter(plan)))
    assert len(store.files("_plans/net/d")) == -(-len(plan) // 3)
    assert [(s.name, s.digest, s.n_images) for s in located] == [
        (s.name, s.digest, s.n_images) for s, _ in plan
    ]
    for shard, (_, rows) in zip(located, plan, strict=True):
        found = shards.planned_rows(store, shard)
        assert found.schema == IMAGES.schema
        assert found.to_pylist() == rows.to_pylist()


def test_a_plan_replaces_the_former_and_spares_others(store: Store) -> None:
    plan = planned(1)
    for folder in ("_plans/net/d", "_plans/net/d.e", "_plans/net/d"):
        assert [s.plan for s in shards.write_plan(store, folder, iter(plan))] == [
            f"{folder}/000000.parquet"
        ]
    assert list(shards.write_plan(store, "_plans/net/d", iter([]))) == []
    assert store.files("_plans") == ["_plans/net/d.e/000000.parquet"]


def test_ids_are_looked_up_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held = pa.table({"image_id": list("bcdefgb"), "shard": list("xyzxyzy")})
    ids = pa.chunked_array([["a", "g"], ["b", "d"]])
    for at_once in (1, 2, 100):
        monkeypatch.setattr(shards, "_IDS_AT_ONCE", at_once)
        found = shards.places(ids, held)
        names = [found.shards[i] if i >= 0 else None for i in found.of_image.tolist()]
        assert names == [None, "z", "x", "z"]

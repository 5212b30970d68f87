"""What an output holds of shards, and what they are planned to hold."""

from collections.abc import Sequence

import pyarrow as pa
import pytest

from kdsspark.output import parquet
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.state import HeldShards, Shard
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES
from tests.stages.embed.fakes import PAIR, SCHEMA, embedding, failure, row


def put(
    output: Output, shard: str, embedded: Sequence[int], failed: Sequence[int], pair: Pair = PAIR
) -> None:
    """Write the files of a shard; no file where there are no rows."""
    for table, schema, rows in (
        (EMBEDDINGS, SCHEMA, [embedding(row(n)) for n in embedded]),
        (FAILURES, FAILURES.schema, [failure(row(n)) for n in failed]),
    ):
        if rows:
            path = table.part(shard, *pair)
            parquet.write(output, path, pa.Table.from_pylist(rows, schema), schema)


def test_what_is_held_is_what_was_embedded_and_what_failed(output: Output) -> None:
    put(output, "shard-1", [1, 2], [3])
    put(output, "shard-2", [], [4])
    put(output, "shard-3", [5], [], Pair("net", "set.b"))
    held = shards.held_rows(output, PAIR).to_pydict()
    found = list(zip(held["shard"], held["image_id"], strict=True))
    assert found == [("shard-1", "01"), ("shard-1", "02"), ("shard-1", "03"), ("shard-2", "04")]
    nothing = shards.held_rows(output, Pair("net", "other"))
    assert (nothing.column_names, len(nothing)) == (["image_id", "shard"], 0)


def test_receipts_of_shards_with_lost_rows_lose_their_digest(output: Output) -> None:
    put(output, "shard-1", [1, 2], [3])
    put(output, "shard-2", [4], [])  # its failures are lost
    put(output, "shard-3", [5], [])  # has no receipt
    counts = {"shard-1": 3, "shard-2": 2, "shard-4": 1}  # the last has no file
    committed = {name: receipt(name, n) for name, n in counts.items()}
    held = shards.held_rows(output, PAIR)
    assert shards.with_losses_known(held, committed) == {
        "shard-1": committed["shard-1"],
        "shard-2": receipt("shard-2", 2, digest=""),
    }
    assert shards.with_losses_known(held.slice(0, 0), committed) == {}


def receipt(name: str, n_images: int, digest: str = "x") -> Receipt:
    return Receipt(ItemName(PAIR.item(name)), digest, {"images": n_images})


def test_shards_are_told_apart_by_how_they_are_named(output: Output) -> None:
    for name in ("shard-new-1", "shard-old-1", "shard-new-2"):
        put(output, name, [int(name[-1]) + 4 * ("old" in name)], [])
    put(output, "shard-new-3", [9], [])  # without a receipt: a run was killed
    for name in ("shard-new-1", "shard-old-1", "shard-new-2", "shard-new-4"):
        EMBED.receipts(output).write(receipt(name, 1))
    held, rows = shards.held(output, PAIR, shards.name_prefix("new"))
    assert held.finished.keys() == {"shard-new-1", "shard-new-2"}
    assert held.others == {"shard-old-1", "shard-new-3", "shard-new-4"}
    assert dict(zip(rows["image_id"].to_pylist(), rows["shard"].to_pylist(), strict=True)) == {
        "01": "shard-new-1",
        "02": "shard-new-2",
    }


@pytest.mark.parametrize(
    ("digest", "current"),
    [("d-0123", True), ("d-", True), ("d", True), ("e-0123", False), ("", False), (None, False)],
)
def test_a_receipt_tells_what_a_shard_held_whatever_the_attempt(
    digest: str | None, current: bool
) -> None:
    finished = {} if digest is None else {"s": receipt("s", 1, digest)}
    assert HeldShards(finished, frozenset()).is_current(Shard("s", "d", 1)) is current


def test_rows_of_many_parts_are_gathered_once(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(70):
        put(output, f"shard-{n:02d}", [n], [])
    put(output, "shard-x", [], [98, 99])
    before = shards.held_rows(output, PAIR)
    shards.gather_held_rows(output, PAIR)
    kept = "_gathered/network=net/dataset=set"
    assert output.files("_gathered") == [f"{kept}/embeddings.parquet"]  # few failures are not
    read: list[str] = []
    read_file = parquet.read_file

    def noting(store: Output, path: str, columns: Sequence[str] | None = None) -> pa.Table:
        read.append(path)
        return read_file(store, path, columns)

    monkeypatch.setattr(parquet, "read_file", noting)
    assert shards.held_rows(output, PAIR).to_pylist() == before.to_pylist()
    assert len(before) == 72
    assert [path for path in read if path.startswith("embeddings")] == []


def test_failures_are_counted_by_step_and_error(output: Output) -> None:
    put(output, "shard-1", [1], [2, 3])
    put(output, "shard-2", [], [4])
    assert shards.failures(output, PAIR).to_pylist() == [{"stage": "read", "error": "E"}] * 3
    assert shards.failures(output, Pair("net", "other")).to_pylist() == []


# -- plans --------------------------------------------------------------------------------------


def planned(n_images: int) -> list[tuple[Shard, pa.Table]]:
    """Shards of two images with their rows."""
    rows = [row(n, class_id=n % 3, class_name=f"c{n % 3}") for n in range(n_images)]
    return [
        (Shard(f"shard-{n}", f"digest {n}", len(some)), pa.Table.from_pylist(some, IMAGES.schema))
        for n in range(-(-n_images // 2))
        for some in [rows[2 * n : 2 * n + 2]]
    ]


@pytest.mark.parametrize("n_images", [0, 5, 6, 20])
def test_planned_rows_are_found_in_whatever_file_they_are(
    output: Output, monkeypatch: pytest.MonkeyPatch, n_images: int
) -> None:
    monkeypatch.setattr(shards, "_SHARDS_PER_PLAN_FILE", 3)
    plan = planned(n_images)
    located = list(shards.write_plan(output, "_plans/net/d", iter(plan)))
    assert len(output.files("_plans/net/d")) == -(-len(plan) // 3)
    assert [(s.name, s.digest, s.n_images) for s in located] == [
        (s.name, s.digest, s.n_images) for s, _ in plan
    ]
    for shard, (_, rows) in zip(located, plan, strict=True):
        found = shards.planned_rows(output, shard)
        assert found.schema == IMAGES.schema
        assert found.to_pylist() == rows.to_pylist()


def test_a_plan_replaces_the_former_and_spares_others(output: Output) -> None:
    plan = planned(1)
    for folder in ("_plans/net/d", "_plans/net/d.e", "_plans/net/d"):
        assert [s.plan for s in shards.write_plan(output, folder, iter(plan))] == [
            f"{folder}/000000.parquet"
        ]
    assert list(shards.write_plan(output, "_plans/net/d", iter([]))) == []
    assert output.files("_plans") == ["_plans/net/d.e/000000.parquet"]


def test_ids_are_looked_up_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held = pa.table({"image_id": list("bcdefgb"), "shard": list("xyzxyzy")})
    ids = pa.chunked_array([["a", "g"], ["b", "d"]])
    for at_once in (1, 2, 100):
        monkeypatch.setattr(shards, "_IDS_AT_ONCE", at_once)
        found = shards.places(ids, held)
        names = [found.shards[i] if i >= 0 else None for i in found.of_image.tolist()]
        assert names == [None, "z", "x", "z"]

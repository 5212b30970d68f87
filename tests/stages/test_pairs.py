"""Plans of single pairs, and which pairs a stage works on; without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kdsspark import config
from kdsspark.config import Config
from kdsspark.engine.items import WorkItem
from kdsspark.engine.stage import Context
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, EXPERIMENTS, pairs
from kdsspark.stages.embed import complete
from kdsspark.stages.pairs import PairPlan
from kdsspark.tables import EMBEDDINGS, FEATURES, IMAGES, SPARSITY

SPARSE, FILTERS = (
    one for name in ("sparsity", "filters") for one in EXPERIMENTS if one.name == name
)
A, B, GIVEN, PIXELS = (
    *(Pair("net", name) for name in "ab"),
    Pair("given", "mine"),
    Pair("colours", "a"),
)


@dataclass(frozen=True, kw_only=True)
class Part(WorkItem):
    """One part of a pair."""


def _config(output: Output, **of_b: Any) -> Config:
    return config.parse(
        {
            "output": output.path(),
            "networks": [{"name": "net"}, {"name": "colours", "architecture": "pixels"}],
            "datasets": [
                {"name": "a", "path": "/a"},
                {"name": "b", "path": "/b"} | of_b,
                {"name": "mine", "embeddings": "/mine", "network": "given"},
            ],
        }
    )


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


def _plan(_: Output, __: Config, pair: Pair) -> PairPlan:
    items = [Part(name=pair.item(f"part-{n}"), digest=f"d{n}", size=n) for n in range(2)]
    return PairPlan.of(SPARSE, items)


def test_a_plan_says_what_receipts_will_say(output: Output) -> None:
    plan = _plan(output, _config(output), A)
    assert plan.digests == {A.item("part-0"): "d0", A.item("part-1"): "d1"}
    receipts = SPARSE.receipts(output)
    for item in plan.items:
        assert not plan.finished(output)
        receipts.write(Receipt(item.name, item.digest))
    assert plan.finished(output)


def test_what_no_item_writes_any_more_is_removed(output: Output) -> None:
    receipts = SPARSE.receipts(output)
    for pair in (A, B):
        for part in ("part-1", "part-2"):
            receipts.write(Receipt(pair.item(part), "d1"))
            parquet.write_rows(output, SPARSITY.part(part, *pair), [], SPARSITY)
    found = pairs.planned(Context(None, output, _config(output)), SPARSE, _plan)
    every = [A, B, *(Pair("colours", name) for name in "ab"), GIVEN]
    assert sorted(item.name for item in found) == sorted(
        pair.item(f"part-{n}") for pair in every for n in range(2)
    )
    assert set(receipts.all()) == {A.item("part-1"), B.item("part-1")}
    assert sorted(output.files("sparsity")) == [SPARSITY.part("part-1", *pair) for pair in (A, B)]


def test_datasets_with_several_labels_are_left_out_with_a_line_where_one_is_needed(
    output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    several = _config(output, layout="manifest", labels="several")
    context = Context(None, output, several)
    found = pairs.planned(context, FILTERS, _plan)
    assert "b" not in {item.name.pair.dataset for item in found}
    assert capsys.readouterr().err == "dataset b: left out, filters needs one label an image\n"
    assert {item.name.pair.dataset for item in pairs.planned(context, SPARSE, _plan)} == {
        *("a", "b", "mine")
    }
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("pair", "goes"),
    [(A, True), (B, True), (GIVEN, False), (PIXELS, False), (Pair("unknown", "a"), False)],
)
def test_images_go_through_a_network_that_is_none_of_numbers(
    output: Output, pair: Pair, goes: bool
) -> None:
    assert pairs.goes_through_a_network(_config(output), pair) is goes


def _embed(output: Output, counts: dict[str, int]) -> None:
    parquet.write_rows(output, IMAGES.part("part-0", A.dataset), [], IMAGES)
    for shard, count in counts.items():
        EMBED.receipts(output).write(Receipt(A.item(shard), f"d {shard}", {"embedded": count}))
    complete.commit(output, A)
    rows = [
        {"layer": layer, "unit": unit, "feature": 0, "kind": "conv", "depth": depth, "name": None}
        for depth, (layer, width) in enumerate({"z": 3, "a": 2}.items())
        for unit in range(width)
    ]
    parquet.write_rows(output, FEATURES.part("part-0", A.network), rows, FEATURES)


def test_embeddings_are_the_files_of_the_shards_that_have_images(output: Output) -> None:
    _embed(output, {"s2": 4, "s1": 3, "s0": 0})
    found = pairs.embedded(output, A)
    assert found.parts == tuple(EMBEDDINGS.part(name, *A) for name in ("s1", "s2"))
    assert found.n_images == 7
    assert list(found.widths.items()) == [("z", 3), ("a", 2)]
    _embed(output, {"s0": 1})
    assert pairs.embedded(output, A).digest == found.digest  # which a digest of a shard changes
    EMBED.receipts(output).write(Receipt(A.item("s1"), "other", {"embedded": 3}))
    complete.commit(output, A)
    assert pairs.embedded(output, A).digest != found.digest


@pytest.mark.parametrize("counts", [{}, {"s0": 0}])
def test_what_is_not_embedded_is_refused(output: Output, counts: dict[str, int]) -> None:
    _embed(output, counts)
    with pytest.raises(DatasetError, match="dataset a: is not embedded by net, run the embed"):
        pairs.embedded(output, A)


def test_what_changed_since_it_was_embedded_is_refused(output: Output) -> None:
    _embed(output, {"s1": 3})
    EMBED.receipts(output).write(Receipt(A.item("s2"), "d", {"embedded": 1}))
    with pytest.raises(DatasetError, match="is not embedded by net"):
        pairs.embedded(output, A)

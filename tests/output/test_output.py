"""Where an output keeps what is no table: the same places in every version."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kdsspark.output.names import COLUMNS, RANGES, SUMMARIES, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt

PAIR = Pair("vgg16", "a.b")


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


def test_places_are_those_of_outputs_that_exist(output: Output) -> None:
    """Written out: an output that an earlier version made is continued, not made again."""
    assert output.plans("embed") == "_plans/embed"
    assert output.plans("embed", PAIR) == "_plans/embed/vgg16/a.b"
    assert output.network("vgg16") == "_networks/vgg16.json"
    assert output.weights("vgg16", "0123") == "_networks/vgg16-0123.safetensors"
    assert output.beside(RANGES, PAIR) == "_ranges/network=vgg16/dataset=a.b"
    assert output.beside(RANGES, PAIR, "s") == "_ranges/network=vgg16/dataset=a.b/s.parquet"
    assert output.beside(SUMMARIES, PAIR, "s") == "_summaries/network=vgg16/dataset=a.b/s.parquet"
    assert output.beside(COLUMNS, PAIR) == "_columns/network=vgg16/dataset=a.b"
    assert output.columns(PAIR, "rows-1") == "_columns/network=vgg16/dataset=a.b/rows-1.bin"


def test_receipts_are_filed_by_stage(output: Output) -> None:
    receipt = Receipt(PAIR.item("shard-1"), "d")
    output.receipts("embed").write(receipt)
    assert output.files("") == ["_receipts/embed/vgg16/a.b/shard-1.json"]
    assert output.receipts("embed").all() == {receipt.item: receipt}


def test_plans_and_networks_are_found_by_their_names(output: Output) -> None:
    assert (list(output.plan_files()), output.networks()) == ([], [])
    other = Pair("vgg16", "a")
    for pair in (PAIR, other):
        output.write_json(f"{output.plans('embed', pair)}/tried/shard-1.json", {})
    unfinished = f"{output.plans('exemplars', other)}/.tmp-0123-000000.parquet"  # of a killed run
    output.write_json(unfinished, {})
    for name in ("vgg16", "a.json"):
        output.write_json(output.network(name), {})
        output.write_json(output.weights(name, "0123"), {})
    assert list(output.plan_files()) == [
        ("_plans/embed/vgg16/a.b/tried/shard-1.json", PAIR),
        ("_plans/embed/vgg16/a/tried/shard-1.json", other),
        ("_plans/exemplars/vgg16/a/.tmp-0123-000000.parquet", other),
    ]
    assert output.networks() == ["a.json", "vgg16"]


def test_an_output_travels_with_its_receipts(output: Output) -> None:
    assert output.fs  # which is found once, and does not travel
    copy = pickle.loads(pickle.dumps(output))
    assert (copy, type(copy)) == (output, Output)
    copy.receipts("embed").write(Receipt(PAIR.name, "d"))
    receipts = pickle.loads(pickle.dumps(output.receipts("embed")))
    assert receipts.find(PAIR.name) == Receipt(PAIR.name, "d")

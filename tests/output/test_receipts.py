"""Receipts: what was written comes back, and a pair is no prefix of another's name."""

import json
import pickle
from pathlib import Path

import pytest

from kdsspark.output.names import ItemName, Pair
from kdsspark.output.receipts import Receipt, Receipts
from kdsspark.output.store import Store

PAIR = Pair("vgg", "a")


@pytest.fixture(params=["local", "memory"])
def receipts(request: pytest.FixtureRequest, tmp_path: Path) -> Receipts:
    url = str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"
    return Receipts(Store.at(url), "embed")


def names(*texts: str) -> list[ItemName]:
    return [ItemName(text) for text in texts]


def write(receipts: Receipts, *texts: str) -> None:
    for name in names(*texts):
        receipts.write(Receipt(name, f"digest of {name}"))


def test_a_receipt_comes_back(receipts: Receipts) -> None:
    full = Receipt(PAIR.item("shard-1"), "d1", {"images": 7, "failed": 0}, {"read": 0.125})
    bare = Receipt(PAIR.item("shard-2"), "d2")
    for receipt in (full, bare):
        receipts.write(receipt)
    assert receipts.all() == receipts.of(PAIR) == {full.item: full, bare.item: bare}
    assert receipts.find(full.item) == full
    assert receipts.find(PAIR.item("shard-3")) is None
    (found, _) = receipts.all()
    assert found.part == "shard-1"  # a name, not only a text
    assert Receipts(receipts.store, "measure").all() == {}


def test_a_receipt_is_a_file_of_json_with_the_keys_of_every_version(receipts: Receipts) -> None:
    path = "_receipts/embed/vgg/a/shard-1.json"
    receipts.write(Receipt(PAIR.item("shard-1"), "d1", {"images": 7}, {"read": 0.5}))
    text = receipts.store.fs.cat_file(receipts.store.path(path))
    saved = {"unit": "vgg/a/shard-1", "digest": "d1", "counts": {"images": 7}}
    assert json.loads(text) == saved | {"seconds": {"read": 0.5}}


def test_a_receipt_is_replaced(receipts: Receipts) -> None:
    for digest in ("old", "new"):
        receipts.write(Receipt(PAIR.name, digest))
    found = receipts.find(PAIR.name)
    assert found
    assert found.digest == "new"


def test_the_items_of_a_pair_are_those_of_this_pair_only(receipts: Receipts) -> None:
    every = ["vgg/a/1", "vgg/a/2", "vgg/ab/1", "vgg/a.b/1", "vgg/a", "v/a/1", "report"]
    write(receipts, *every)
    write(Receipts(receipts.store, "embedded"), *every)
    assert receipts.of(PAIR).keys() == {"vgg/a/1", "vgg/a/2"}
    assert receipts.of(Pair("vgg", "a.b")).keys() == {"vgg/a.b/1"}
    assert receipts.of(Pair("vgg", "b")) == {}
    assert receipts.all().keys() == set(every)
    assert all(receipt.item == name for name, receipt in receipts.all().items())


def test_items_are_found_by_name_in_several_folders(receipts: Receipts) -> None:
    write(receipts, "vgg/a/1", "vgg/a/2", "vgg/b/1", "vgg/b", "report")
    wanted = names("vgg/a/1", "vgg/b", "report", "vgg/a/3", "other/a/1")
    assert receipts.named(wanted).keys() == {"vgg/a/1", "vgg/b", "report"}
    assert receipts.named([]) == {}


@pytest.mark.parametrize(
    ("digests", "finished"),
    [
        ({"1": "digest of vgg/a/1", "2": "digest of vgg/a/2"}, True),
        ({"1": "digest of vgg/a/1"}, True),
        ({"1": "digest of vgg/a/1", "2": "another"}, False),
        ({"1": "digest of vgg/a/1", "3": "digest of vgg/a/3"}, False),
        ({}, True),
    ],
)
def test_items_are_finished_with_these_digests(
    receipts: Receipts, digests: dict[str, str], finished: bool
) -> None:
    write(receipts, "vgg/a/1", "vgg/a/2")
    assert receipts.finished({PAIR.item(part): d for part, d in digests.items()}) is finished


def test_a_receipt_can_be_taken_back(receipts: Receipts) -> None:
    write(receipts, "vgg/a/1", "vgg/a/10", "vgg/a")
    receipts.remove(PAIR.item("1"))
    receipts.remove(PAIR.item("1"))  # nothing to take back is no error
    assert receipts.all().keys() == {"vgg/a/10", "vgg/a"}
    receipts.remove(PAIR.name)
    assert receipts.all().keys() == {"vgg/a/10"}


def test_gathered_receipts_are_those_that_are_there(receipts: Receipts) -> None:
    write(receipts, *(f"vgg/a/{number}" for number in range(80)), "vgg/b/0")
    receipts.gather()
    assert receipts.store.files("_gathered") == ["_gathered/receipts-embed.parquet"]
    receipts.write(Receipt(PAIR.item("3"), "new"))
    receipts.remove(PAIR.item("4"))
    found = receipts.of(PAIR)
    assert len(found) == 79
    assert {name: r.digest for name, r in found.items()} == {
        f"vgg/a/{n}": "new" if n == 3 else f"digest of vgg/a/{n}" for n in range(80) if n != 4
    }
    assert receipts.of(Pair("vgg", "b")).keys() == {"vgg/b/0"}


def test_half_written_receipts_of_a_pair_are_cleaned(receipts: Receipts) -> None:
    write(receipts, "vgg/a/1", "vgg/b/1")
    fs, path = receipts.store.fs, receipts.store.path
    for dataset in "ab":
        fs.pipe_file(path(f"_receipts/embed/vgg/{dataset}/.tmp-0123-2.json"), b"{")
    receipts.clean(PAIR)
    assert sorted(fs.find(path("_receipts"))) == [
        path("_receipts/embed/vgg/a/1.json"),
        path("_receipts/embed/vgg/b/.tmp-0123-2.json"),
        path("_receipts/embed/vgg/b/1.json"),
    ]


def test_receipts_travel(receipts: Receipts) -> None:
    copy = pickle.loads(pickle.dumps(receipts))
    assert copy == receipts
    copy.write(Receipt(PAIR.name, "d"))
    if receipts.store.is_local:
        assert receipts.all().keys() == {"vgg/a"}

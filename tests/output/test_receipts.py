"""Receipts: what was written comes back, and a folder of units is no prefix of another's name."""

from pathlib import Path

import pytest

from kdsspark.output import receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store.at(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def test_a_receipt_comes_back(store: Store) -> None:
    full = Receipt("vgg/birds/shard-1", "d1", {"images": 7, "failed": 0}, {"read": 0.125})
    bare = Receipt("vgg/birds/shard-2", "d2")
    for receipt in (full, bare):
        receipts.write(store, "embed", receipt)
    assert receipts.read(store, "embed") == {full.unit: full, bare.unit: bare}
    assert receipts.read(store, "measure") == {}


def test_a_receipt_is_replaced(store: Store) -> None:
    receipts.write(store, "embed", Receipt("a/b", "old"))
    receipts.write(store, "embed", Receipt("a/b", "new"))
    assert receipts.read(store, "embed")["a/b"].digest == "new"


def test_units_below_a_folder_are_those_of_this_folder_only(store: Store) -> None:
    units = ["vgg/a/1", "vgg/a/2", "vgg/ab/1", "vgg/a.b/1", "vgg/a", "v/a/1"]
    for unit in units:
        receipts.write(store, "embed", Receipt(unit, unit))
        receipts.write(store, "embedded", Receipt(unit, unit))
    assert set(receipts.read(store, "embed", "vgg/a")) == {"vgg/a/1", "vgg/a/2"}
    assert set(receipts.read(store, "embed", "vgg/a.b")) == {"vgg/a.b/1"}
    assert set(receipts.read(store, "embed", "vgg")) == set(units) - {"v/a/1"}
    assert set(receipts.read(store, "embed")) == set(units)
    assert receipts.read(store, "embed", "vgg/b") == {}


def test_a_receipt_can_be_taken_back(store: Store) -> None:
    for unit in ("vgg/a/1", "vgg/a/10", "vgg/a"):
        receipts.write(store, "embed", Receipt(unit, unit))
    receipts.remove(store, "embed", "vgg/a/1")
    receipts.remove(store, "embed", "vgg/a/1")  # nothing to take back is no error
    assert set(receipts.read(store, "embed")) == {"vgg/a/10", "vgg/a"}
    receipts.remove(store, "embed", "vgg/a")
    assert set(receipts.read(store, "embed")) == {"vgg/a/10"}


def test_many_receipts_are_read(store: Store) -> None:
    for number in range(100):
        receipts.write(store, "embed", Receipt(f"vgg/a/{number}", str(number)))
    found = receipts.read(store, "embed", "vgg/a")
    assert {unit: r.digest for unit, r in found.items()} == {
        f"vgg/a/{number}": str(number) for number in range(100)
    }

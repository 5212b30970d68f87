"""Gathered files say what the single ones do, whatever has happened to these since."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from kdsspark.output import gathered, receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store

SCHEMA = pa.schema([pa.field("text", pa.string(), nullable=False)])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(str(tmp_path))


def put(store: Store, name: str, text: str) -> None:
    with store.create(f"files/{name}") as file:
        file.write(text.encode())


class Reader:
    """Reads single files and counts them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.read: list[str] = []

    def __call__(self, path: str) -> pa.Table:
        self.read.append(path.rpartition("/")[2])
        return pa.table({"text": [Path(self.store.path(path)).read_text()]}, SCHEMA)


def said(store: Store, reader: Reader) -> dict[str, str]:
    found = gathered.rows(store, "kept", "files", reader, SCHEMA)
    paths = [path.rpartition("/")[2] for path in found["path"].to_pylist()]
    assert len(set(paths)) == len(paths)
    return dict(zip(paths, found["text"].to_pylist(), strict=True))


def test_only_new_and_changed_files_are_read_again(store: Store) -> None:
    expected = {f"{n:03d}": f"text {n}" for n in range(100)}
    for name, text in expected.items():
        put(store, name, text)
    reader = Reader(store)
    assert said(store, reader) == expected
    gathered.keep(store, "kept", "files", reader, SCHEMA)
    reader.read.clear()
    assert said(store, reader) == expected
    assert reader.read == []

    put(store, "007", "text X")  # as long as before
    put(store, "new", "more")
    store.remove("files/009")
    expected = {**expected, "007": "text X", "new": "more"}
    del expected["009"]
    assert said(store, reader) == expected
    assert sorted(reader.read) == ["007", "new"]


def test_a_few_files_are_not_gathered(store: Store) -> None:
    put(store, "one", "1")
    gathered.keep(store, "kept", "files", Reader(store), SCHEMA)
    assert not store.files("_gathered")
    assert said(store, Reader(store)) == {"one": "1"}
    assert said(Store.at(store.path("none")), Reader(store)) == {}


def test_a_replaced_receipt_is_the_one_that_counts(store: Store) -> None:
    for n in range(80):
        receipts.write(store, receipts.EMBED, Receipt(f"net/set/{n}", "old"))
    receipts.keep(store, receipts.EMBED)
    receipts.write(store, receipts.EMBED, Receipt("net/set/3", "new"))
    receipts.remove(store, receipts.EMBED, "net/set/4")
    found = receipts.read(store, receipts.EMBED, "net/set")
    assert len(found) == 79
    assert {unit for unit, receipt in found.items() if receipt.digest == "new"} == {"net/set/3"}

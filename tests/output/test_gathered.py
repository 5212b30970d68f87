"""Gathered files say what the single ones do, whatever has happened to these since."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from kdsspark.output import gathered, parquet
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


def texts(store: Store, reader: Reader) -> dict[str, str]:
    found = gathered.rows(store, "kept", "files", reader, SCHEMA)
    paths = [path.rpartition("/")[2] for path in found["path"].to_pylist()]
    assert len(set(paths)) == len(paths)
    return dict(zip(paths, found["text"].to_pylist(), strict=True))


def test_only_new_and_changed_files_are_read_again(store: Store) -> None:
    expected = {f"{n:03d}": f"text {n}" for n in range(100)}
    for name, text in expected.items():
        put(store, name, text)
    reader = Reader(store)
    assert texts(store, reader) == expected
    gathered.keep(store, "kept", "files", reader, SCHEMA)
    reader.read.clear()
    assert texts(store, reader) == expected
    assert reader.read == []

    put(store, "007", "text X")  # as long as before
    put(store, "new", "more")
    store.remove("files/009")
    expected = {**expected, "007": "text X", "new": "more"}
    del expected["009"]
    assert texts(store, reader) == expected
    assert sorted(reader.read) == ["007", "new"]


def test_a_few_files_are_not_gathered(store: Store) -> None:
    put(store, "one", "1")
    gathered.keep(store, "kept", "files", Reader(store), SCHEMA)
    assert not store.files("_gathered")
    assert texts(store, Reader(store)) == {"one": "1"}
    assert texts(Store.at(store.path("none")), Reader(store)) == {}


def test_rows_of_other_columns_are_read_again(store: Store) -> None:
    """As an earlier version of the program gathered them."""
    for n in range(70):
        put(store, f"{n:02d}", "text")
    old = pa.schema([pa.field("words", pa.string(), nullable=False)])
    gathered.keep(store, "kept", "files", lambda _: pa.table({"words": ["x"]}, old), old)
    assert parquet.schema(store, "_gathered/kept.parquet").names == ["path", "version", "words"]
    reader = Reader(store)
    assert set(texts(store, reader).values()) == {"text"}
    assert len(reader.read) == 70


def test_a_file_that_becomes_as_another_was_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stores whose versions are hashes of the content give two files the same."""
    names = [f"{n:02d}" for n in range(70)]
    for name in names:
        put(store, name, name)
    versions = {f"files/{name}": f"hash of {name}" for name in names}
    monkeypatch.setattr(Store, "versions", lambda _, __: dict(versions))
    reader = Reader(store)
    gathered.keep(store, "kept", "files", reader, SCHEMA)
    put(store, "07", "08")
    versions["files/07"] = "hash of 08"
    reader.read.clear()
    assert texts(store, reader) == {name: "08" if name == "07" else name for name in names}
    assert reader.read == ["07"]


def test_a_folder_is_not_taken_for_another(store: Store) -> None:
    """The file of all may be asked for a part; names are no prefixes."""
    for n in range(70):
        for folder in ("files/a", "files/ab"):
            with store.create(f"{folder}/{n:02d}") as file:
                file.write(folder.encode())
    reader = Reader(store)
    gathered.keep(store, "kept", "files", reader, SCHEMA)
    reader.read.clear()
    part = gathered.rows(store, "kept", "files/a", reader, SCHEMA)
    assert part["text"].to_pylist() == ["files/a"] * 70
    assert reader.read == []


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_files_of_any_number_of_rows_are_tagged_with_where_they_are_from(
    store: Store, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "_FILES_AT_ONCE", 2)
    for name in "abcde":
        put(store, name, name)

    def load(path: str) -> pa.Table:
        return pa.table({"text": [path[-1]] * (rows if path[-1] != "c" else 2)}, SCHEMA)

    found = gathered.rows(store, "kept", "files", load, SCHEMA)
    expected = "".join(name * (rows if name != "c" else 2) for name in "abcde")
    assert found["text"].to_pylist() == list(expected)
    assert [path[-1] for path in found["path"].to_pylist()] == list(expected)
    versions = store.versions("files")
    assert found["version"].to_pylist() == [versions[f"files/{name}"] for name in expected]

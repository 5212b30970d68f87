"""The lists of what an output holds, by content and kind of processor."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kdsspark.images.loading import content_hash
from kdsspark.output.store import Store
from kdsspark.stages.embed.shards import contents

OURS = "shard-key-"


@pytest.fixture(params=["local", "memory"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    """On local stores a list is mapped into memory, from others it is read."""
    url = str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return Store.at(url)


def digest(number: int) -> str:
    return content_hash(str(number).encode())


def table(rows: list[tuple[str, str | None, str | None]]) -> pa.Table:
    """``held`` of rows (path, content, computed_on), in several chunks as gathered files give."""
    pieces = []
    for start in range(0, max(1, len(rows)), 5):
        some = rows[start : start + 5]
        paths, hashes, kinds = (pa.array([r[i] for r in some], pa.string()) for i in range(3))
        columns = {
            "path": paths.dictionary_encode(),
            "key": contents.keys(pa.chunked_array([hashes])),
            "computed_on": kinds.dictionary_encode(),
        }
        pieces.append(pa.table(columns))
    return pa.concat_tables(pieces).unify_dictionaries()


def part(shard: str) -> str:
    return f"embeddings/network=net/dataset=set/{shard}.parquet"


def test_every_content_is_found_by_the_kind_that_computed_it(store: Store) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.permutation(200).tolist()
    kinds = ("x", "y", None)
    rows = [(part(f"{OURS}{n % 7}"), digest(n), kinds[n % 3]) for n in numbers]
    folder = contents.write(store, "net", table(rows), OURS)
    for n in range(210):
        for kind in ("x", "y", "z"):
            held = n < 200 and kinds[n % 3] == kind
            expected = part(f"{OURS}{n % 7}") if held else None
            assert contents.file_of(store, folder, kind, digest(n)) == expected


def test_one_of_several_files_is_found(store: Store) -> None:
    rows = [(part(f"{OURS}{n}"), digest(n // 4), "x") for n in range(40)]
    folder = contents.write(store, "net", table(rows), OURS)
    for n in range(10):
        found = contents.file_of(store, folder, "x", digest(n))
        assert found in {part(f"{OURS}{4 * n + i}") for i in range(4)}


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(part("shard-other-1"), digest(1), "x")],  # of another network of the same name
        [(part(f"{OURS}1"), digest(1), None)],  # by a version that did not record it
        [(part("file-1"), None, None)],  # ready-made
    ],
)
def test_without_rows_there_are_no_lists(
    store: Store, rows: list[tuple[str, str | None, str | None]]
) -> None:
    assert contents.write(store, "net", table(rows), OURS) == ""
    assert store.files("") == []


def test_keys_are_the_first_half_of_a_hash() -> None:
    found = contents.keys(pa.chunked_array([[digest(1), None], [digest(2)]]))
    halves = [hashlib.blake2b(t, digest_size=16).digest()[:8] for t in (b"1", b"2")]
    assert found.dtype == np.uint64
    assert found.tolist() == [int.from_bytes(halves[0]), 0, int.from_bytes(halves[1])]

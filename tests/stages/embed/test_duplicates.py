"""Byte-identical images: found within classes, datasets and all, in any number of ranges."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdsspark import config
from kdsspark.engine.stage import Context
from kdsspark.output import parquet
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, REPORT
from kdsspark.stages.embed import duplicates
from kdsspark.stages.embed.duplicates import ContentRange, find_in_range
from kdsspark.tables import DUPLICATES, EMBEDDINGS, IMAGES
from tests.inprocess import InProcess
from tests.stages.embed.fakes import SCHEMA, embedding, images, row

Contents = dict[str, list[tuple[str, int]]]  # dataset -> content and class of each image
A, B = Pair("net", "a"), Pair("net", "b")


def digest(number: object) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


def write(output: Output, contents: Contents, network: str = "net") -> list[dict[str, Any]]:
    """Embeddings and images of some datasets, in shards of three; their rows with the dataset."""
    every = []
    for dataset, some in contents.items():
        rows = [
            row(n, uri=f"/{dataset}/{n}", class_id=of, class_name=f"c{of}")
            | {"image_id": digest((dataset, n))}
            for n, (_, of) in enumerate(some)
        ]
        parquet.write(output, IMAGES.part("part-0", dataset), images(rows), IMAGES.schema)
        held = [
            embedding(r | {"image_id": "0"}) | {"image_id": r["image_id"], "content": content}
            for r, (content, _) in zip(rows, some, strict=True)
        ]
        for start in range(0, len(held), 3):
            table = pa.Table.from_pylist(held[start : start + 3], schema=SCHEMA)
            part = EMBEDDINGS.part(f"shard-{start}", network, dataset)
            parquet.write(output, part, table, SCHEMA)
        every += [
            {**r, "content": h["content"], "dataset": dataset}
            for r, h in zip(rows, held, strict=True)
        ]
    return every


def oracle(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of ``duplicates``, counted one by one."""
    rows = [r for r in rows if r["content"] is not None]
    counts = Counter(r["content"] for r in rows)
    by_dataset = Counter((r["content"], r["dataset"]) for r in rows)
    by_class = Counter((r["content"], r["dataset"], r["class_id"]) for r in rows)
    found = []
    for r in rows:
        if counts[r["content"]] > 1:
            keys = (r["content"], r["dataset"], r["class_id"])
            numbers = (by_class[keys], by_dataset[keys[:2]], counts[keys[0]])
            found.append(r | dict(zip(("in_class", "in_dataset", "in_all"), numbers, strict=True)))
    return [{k: v for k, v in r.items() if k != "version"} for r in found]


def ranges(output: Output, pairs: Sequence[Pair], of: int) -> list[ContentRange]:
    return [
        ContentRange(
            name=ItemName(f"all/{number}"),
            digest="d",
            output=output,
            pairs=tuple(pairs),
            number=number,
            of=of,
        )
        for number in range(of)
    ]


def table(output: Output, *dataset: str) -> list[dict[str, Any]]:
    return by_id(parquet.read(output, DUPLICATES, *dataset).to_pylist())


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda r: str(r["image_id"]))


# -- a range, without Spark ----------------------------------------------------------------------


@pytest.mark.parametrize("of", [1, 2, 3, 7, 1000])
def test_every_hash_is_in_one_range(output: Output, of: int) -> None:
    hashes = [digest(n) for n in range(50)] + ["0" * 32, "f" * 32, "8" + "0" * 31, "7" + "f" * 31]
    contents = pa.chunked_array([[*hashes[:20], None], hashes[20:]])
    covered = [r.covers(contents).to_pylist() for r in ranges(output, [A], of)]
    assert [sum(column) for column in zip(*covered, strict=True)] == [1] * 20 + [0] + [1] * 34
    if of == 7:
        assert sum(any(one) for one in covered) == 7


contents = st.sampled_from([*(digest(n) for n in range(6)), None])
some = st.lists(st.tuples(contents, st.integers(0, 2)), min_size=1, max_size=12)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(a=some, b=some, of=st.integers(1, 3))
def test_all_ranges_together_have_every_copy(output: Output, a: Any, b: Any, of: int) -> None:
    output.remove("")
    rows = write(output, {"a": a, "b": b})
    counts: Counter[str] = Counter()
    for one in ranges(output, [A, B], of):
        counts.update(find_in_range(one).counts)
    expected = oracle(rows)
    assert table(output) == by_id(expected)
    for dataset in "ab":
        here = [r for r in expected if r["dataset"] == dataset]
        assert {kind: counts[f"{dataset} {kind}"] for kind in duplicates._KINDS} == {
            "identical": len(here),
            "across classes": sum(r["in_dataset"] > r["in_class"] for r in here),
            "across datasets": sum(r["in_all"] > r["in_dataset"] for r in here),
        }


def test_a_range_without_copies_has_a_part_too(output: Output) -> None:
    write(output, {"a": [(digest(0), 0), (digest(1), 0)]})
    (one,) = ranges(output, [A], 1)
    assert set(find_in_range(one).counts.values()) == {0}
    assert output.files("duplicates") == ["duplicates/dataset=a/part-0000-of-0001.parquet"]
    assert table(output, "a") == []


def test_copies_stand_together(output: Output) -> None:
    write(output, {"a": [(digest(n % 3), n % 2) for n in range(9)]})
    (one,) = ranges(output, [A], 1)
    find_in_range(one)
    rows = parquet.read(output, DUPLICATES, "a").to_pylist()
    keys = [(r["content"], r["class_id"], r["image_id"]) for r in rows]
    assert len(keys) == 9
    assert keys == sorted(keys)


# -- all of a study ------------------------------------------------------------------------------


def context(session: Any, output: Output, *datasets: str) -> Context:
    raw = {
        "output": output.path(),
        "networks": [{"name": "net"}, {"name": "second"}],
        "datasets": [{"name": name, "path": f"/{name}"} for name in datasets],
    }
    return Context(session, output, config.parse(raw))


def commit(output: Output, pair: Pair, name: str, embedded: int, digest: str = "d") -> None:
    counts = {"embedded": embedded, "failed": 0}
    EMBED.receipts(output).write(Receipt(pair.item(name), digest, counts))


COPIES: Contents = {
    "a": [(digest(0), 0), (digest(0), 0), (digest(1), 0), (digest(1), 1), (digest(2), 0)],
    "b": [(digest(2), 0), (digest(3), 0)],
}


def test_what_was_looked_through_is_not_looked_through_again(
    in_process: InProcess, output: Output
) -> None:
    rows = write(output, COPIES)
    commit(output, A, "shard-0", 5)
    commit(output, B, "shard-0", 2)
    here = context(in_process, output, "a", "b")
    for _ in range(2):
        duplicates.find(here)
        assert table(output) == by_id(oracle(rows))
    assert in_process.sparkContext.jobs == [1]
    lines = [
        "dataset a: 5 byte-identical images (2 across classes, 1 across datasets)",
        "dataset b: 1 byte-identical image (1 across datasets)",
    ]
    assert duplicates.summary(here) == lines
    assert REPORT.closing(here).splitlines()[:2] == lines
    commit(output, B, "shard-0", 2, digest="another")
    duplicates.find(here)
    assert in_process.sparkContext.jobs == [1, 1]


@pytest.mark.parametrize(("images_of_a_range", "n_ranges"), [(7, 1), (6, 2), (2, 4), (1, 7)])
def test_there_are_as_many_ranges_as_hold_the_images(
    in_process: InProcess,
    output: Output,
    monkeypatch: pytest.MonkeyPatch,
    images_of_a_range: int,
    n_ranges: int,
) -> None:
    rows = write(output, COPIES)
    commit(output, A, "shard-0", 5)
    commit(output, B, "shard-0", 2)
    here = context(in_process, output, "a", "b")
    for limit, n in ((3, 3), (images_of_a_range, n_ranges)):
        monkeypatch.setattr(duplicates, "_IMAGES_OF_A_RANGE", limit)
        duplicates.find(here)
        assert len(output.files("duplicates")) == 2 * n
        assert len(output.receipts("duplicates").all()) == n
        assert table(output) == by_id(oracle(rows))
    assert duplicates.summary(here)[0].startswith("dataset a: 5 byte-identical images (2 across")


def test_each_dataset_is_looked_through_once_by_its_first_network(
    in_process: InProcess, output: Output
) -> None:
    write(output, COPIES)
    write(output, {"a": COPIES["a"]}, network="second")  # the same images once more
    for pair, n in ((A, 5), (B, 2), (Pair("second", "a"), 5)):
        commit(output, pair, "shard-0", n)
    duplicates.find(context(in_process, output, "a", "b"))
    assert len(table(output)) == 6


def test_datasets_without_copies_are_not_spoken_of(in_process: InProcess, output: Output) -> None:
    write(output, {"a": [(digest(0), 0)], "b": [(digest(1), 0), (digest(1), 0)]})
    commit(output, A, "shard-0", 1)
    commit(output, B, "shard-0", 2)
    here = context(in_process, output, "a", "b")
    duplicates.find(here)
    assert duplicates.summary(here) == ["dataset b: 2 byte-identical images"]

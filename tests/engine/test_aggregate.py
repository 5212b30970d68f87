"""Work items that need a sum first: every item gets the sum of its own pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from kdsspark.engine.aggregate import summed_first
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.work import Spread, run_items
from kdsspark.output.names import ItemName
from kdsspark.output.output import Output
from tests.inprocess import InProcess


@dataclass(frozen=True, kw_only=True)
class Words(WorkItem):
    texts: tuple[str, ...]
    total: int = -1


def words(*texts: tuple[str, ...]) -> list[Words]:
    return [
        Words(name=ItemName(f"net/set/{n}"), digest="d", texts=some) for n, some in enumerate(texts)
    ]


def pieces(_: object, items: Sequence[Words]) -> list[tuple[ItemName, str]]:
    """The texts of all items, mixed: the first of each, then the second of each."""
    longest = max(len(item.texts) for item in items)
    return [
        (item.name, item.texts[n]) for n in range(longest) for item in items if n < len(item.texts)
    ]


def complete(item: Words, total: int) -> Words:
    return replace(item, total=total)


def counted() -> Spread[Words]:
    return summed_first(pieces, len, complete)


def note(item: Words) -> Outcome:
    return Outcome({"letters": item.total})


TEXTS = [("a", "bb", "ccc"), ("dddd",), ("", "e")]


@pytest.mark.parametrize("chosen", [slice(0, 3), slice(1, 2), slice(0, 2)])
def test_each_item_gets_the_sum_of_its_pieces(in_process: InProcess, chosen: slice) -> None:
    items = words(*TEXTS)[chosen]
    found: list[Words] = counted()(in_process, items).collect()  # type: ignore[arg-type]
    assert {item.name: item.total for item in found} == {
        item.name: sum(map(len, item.texts)) for item in items
    }
    assert [replace(item, total=-1) for item in found] == items


def test_spark_counts_pieces_in_tasks_of_their_own(spark: SparkSession, tmp_path: Path) -> None:
    receipts = Output.at(str(tmp_path)).receipts("stage")
    spread: Any = counted()
    done = run_items(spark, receipts, words(*TEXTS), note, "texts", spread)
    assert [(r.item, r.counts["letters"]) for r in done] == [
        ("net/set/0", 6),
        ("net/set/1", 4),
        ("net/set/2", 1),
    ]

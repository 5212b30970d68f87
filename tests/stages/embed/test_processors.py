"""What embeddings were computed on, by receipts. ``test_reuse.py`` has it by whole runs."""

from __future__ import annotations

from pathlib import Path

from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED
from kdsspark.stages.embed import processors
from kdsspark.stages.embed.shards.state import FILE_PREFIX

PAIR = Pair("net", "set")


def receipt(output: Output, part: str, embedded: int, **kinds: int) -> None:
    counts = {"embedded": embedded, **{f"on {kind}": n for kind, n in kinds.items()}}
    EMBED.receipts(output).write(Receipt(PAIR.item(part), "0", counts))


def test_rows_are_counted_by_kind() -> None:
    found = processors.as_counts(["a", None, "b", "a", None])
    assert found == {"on a": 2, "on unknown": 2, "on b": 1}


def test_kinds_are_summed_over_shards_and_the_most_frequent_come_first(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path))
    receipt(output, "shard-1", 5, b=3, a=2)
    receipt(output, "shard-2", 4, a=1)  # three were embedded before this was recorded
    receipt(output, "shard-3", 0)
    receipt(output, f"{FILE_PREFIX}1", 9)  # ready-made
    assert list(processors.of_pair(output, PAIR).items()) == [("a", 3), ("b", 3), ("unknown", 3)]


def mixtures(output: Output, *pairs: Pair) -> list[str]:
    return processors.mixtures(processors.of_pairs(output, pairs))


def test_only_mixtures_have_a_line(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path))
    assert mixtures(output, PAIR) == []
    receipt(output, "shard-1", 1234, a=1234)
    assert mixtures(output, PAIR) == []
    receipt(output, "shard-2", 2, b=2)
    assert mixtures(output, PAIR, Pair("net", "other")) == [
        "dataset set by network net: embeddings mix 2 kinds of processors, whose last bits "
        "differ: 1,234 on a; 2 on b"
    ]

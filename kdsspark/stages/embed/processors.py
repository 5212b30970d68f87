"""What embeddings were computed on: counted in the receipts of shards, and told where it matters.

Only on one kind of processor are the features of an image equal to the last bit. A pair whose rows
are of several kinds says so in ``status``, at the end of a run and in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EMBED
from kdsspark.stages.embed.shards.state import FILE_PREFIX

UNKNOWN: Final = "unknown"
"""Stands for what was embedded before this was recorded."""

_COUNT: Final = "on "


def as_counts(rows: Iterable[str | None]) -> dict[str, int]:
    """The counts for a receipt, of the values of ``computed_on`` (executor)."""
    return {f"{_COUNT}{kind or UNKNOWN}": n for kind, n in Counter(rows).items()}


def of_pair(output: Output, pair: Pair) -> dict[str, int]:
    """Kind -> images, the most frequent first; nothing for ready-made embeddings (driver)."""
    found: Counter[str] = Counter()
    for name, receipt in EMBED.receipts(output).of(pair).items():
        if not name.part.startswith(FILE_PREFIX):
            found.update(_kinds(receipt.counts))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _kinds(counts: Mapping[str, int]) -> Counter[str]:
    found = Counter({k.removeprefix(_COUNT): n for k, n in counts.items() if k.startswith(_COUNT)})
    found[UNKNOWN] += counts["embedded"] - found.total()
    return +found


def of_pairs(output: Output, pairs: Iterable[Pair]) -> dict[Pair, dict[str, int]]:
    """The same of several pairs."""
    return {pair: of_pair(output, pair) for pair in pairs}


def mixtures(kinds: Mapping[Pair, Mapping[str, int]]) -> list[str]:
    """A line for each pair whose embeddings were computed on several kinds of processors.

    ``kinds``: the result of :func:`of_pairs`.
    """
    return [_line(pair, found) for pair, found in kinds.items() if len(found) > 1]


def _line(pair: Pair, kinds: Mapping[str, int]) -> str:
    counts = "; ".join(f"{n:,} on {kind}" for kind, n in kinds.items())
    return (
        f"dataset {pair.dataset} by network {pair.network}: embeddings mix "
        f"{len(kinds)} kinds of processors, whose last bits differ: {counts}"
    )

"""What the engine runs and what comes back: plain values, for code that needs no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdsspark.output.names import ItemName


@dataclass(frozen=True, kw_only=True)
class WorkItem:
    """A deterministic piece of work. Each kind of work adds the fields its task needs."""

    name: ItemName  # the same in every run
    digest: str  # of everything that determines its files
    size: int = 1  # for progress, in what the stage counts


@dataclass(frozen=True)
class Outcome:
    """What a task reports of a finished item; ``counts["failed"]`` is shown while running."""

    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

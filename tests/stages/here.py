"""Spark's part, done here: folds and work items run one after the other in this process.

For tests of what the driver makes of them; the engine's own tests run Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from kdsspark.engine.work import Outcome, WorkItem
from kdsspark.output.receipts import Receipt, Receipts


def fold(
    _session: Any,
    _what: str,
    files: Mapping[Any, Sequence[Any]],
    load: Callable[[Any, Any], Any],
    merge: Callable[[Any, Any], Any],
    _at_least: int = 1,
) -> dict[Any, Any]:
    """As :func:`kdsspark.engine.fold.fold`, with the files in the opposite order."""
    return {
        key: reduce(merge, [value for file in reversed(some) for value in load(key, file)])
        for key, some in files.items()
        if some
    }


def run_items(
    _session: Any,
    receipts: Receipts,
    items: Sequence[WorkItem],
    task: Callable[[Any], Outcome],
    _counted: str,
    _spread: Any = None,
) -> list[Receipt]:
    """As :func:`kdsspark.engine.work.run_items`."""
    done = receipts.named(item.name for item in items)
    for item in items:
        if item.name not in done or done[item.name].digest != item.digest:
            outcome = task(item)
            receipts.write(Receipt(item.name, item.digest, outcome.counts, outcome.seconds))
    return list(receipts.named(item.name for item in items).values())

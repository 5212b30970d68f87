"""Shards that are tried more than once: noted, so that the one that ends a run can be named.

When a Python worker dies, Spark can only tell that one did. So every later attempt at a shard
leaves a note beside the shard's plan, which goes when the next run plans anew.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyspark import TaskContext

from kdsspark.errors import KdssparkError
from kdsspark.output import receipts
from kdsspark.output.store import Store
from kdsspark.query import causes
from kdsspark.stages.embed.shards import Shard

PLANS: Final = f"_plans/{receipts.EMBED}"
"""Plans of shards lie in <network>/<dataset>/ below."""

_TRIED: Final = "tried"


def number() -> int:
    """How many attempts at the running task came before this one (executor)."""
    context = TaskContext.get()
    return 0 if context is None else context.attemptNumber()


def note(store: Store, shard: Shard) -> None:
    """Note an attempt after the first (executor)."""
    if tried := number():
        path = f"{posixpath.dirname(shard.plan)}/{_TRIED}/{shard.name}.json"
        store.write_json(path, {"attempts": tried + 1})


@contextmanager
def named(store: Store) -> Iterator[None]:
    """Raise a RuntimeError that names the shard where Spark gives up in the block (driver)."""
    try:
        yield
    except KdssparkError:
        raise
    except Exception as error:
        notes = [path for path in store.files(PLANS) if f"/{_TRIED}/" in path]
        if not notes:
            raise
        tried, path = max((store.read_json(path)["attempts"], path) for path in notes)
        name = path.removeprefix(f"{PLANS}/").replace(f"/{_TRIED}/", "/").removesuffix(".json")
        raise RuntimeError(
            f"shard {name} failed {tried} times, at last: {causes.of(error).line}"
        ) from error

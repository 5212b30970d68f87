"""Shards that are tried more than once: noted, so that the one that ends a run can be named.

When a Python worker dies, Spark can only tell that one did. So every later attempt at a shard
leaves a note beside the shard's plan, which goes when the next run plans anew.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kdsspark import causes
from kdsspark.engine.work import earlier_attempts
from kdsspark.errors import KdssparkError
from kdsspark.output.output import Output
from kdsspark.stages import EMBED
from kdsspark.stages.embed.shards.state import Shard

_TRIED: Final = "tried"


def note(output: Output, shard: Shard) -> None:
    """Note an attempt after the first (executor)."""
    if tried := earlier_attempts():
        path = f"{posixpath.dirname(shard.plan)}/{_TRIED}/{shard.name}.json"
        output.write_json(path, {"attempts": tried + 1})


@contextmanager
def named(output: Output) -> Iterator[None]:
    """Raise a RuntimeError that names the shard where Spark gives up in the block (driver)."""
    try:
        yield
    except KdssparkError:
        raise
    except Exception as error:
        plans = output.plans(EMBED.name)
        notes = [path for path in output.files(plans) if f"/{_TRIED}/" in path]
        if not notes:
            raise
        tried, path = max((output.read_json(path)["attempts"], path) for path in notes)
        name = path.removeprefix(f"{plans}/").replace(f"/{_TRIED}/", "/").removesuffix(".json")
        raise RuntimeError(
            f"shard {name} failed {tried} times, at last: {causes.of(error).line}"
        ) from error

"""Whether a dataset is embedded as it is indexed (driver).

``embed`` records it once, in a receipt of its own, so that no later stage compares all images
again.
"""

from __future__ import annotations

from typing import Final

from kdsspark.engine.stage import Context
from kdsspark.hashing import fingerprint
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, index

KIND: Final = "embedded"
"""As receipts are filed."""


def commit(output: Output, pair: Pair) -> None:
    """Record that all images are embedded or failed, as the index has them; for ``embed`` alone."""
    digest = _digest(output, pair)
    if _recorded(output, pair) != digest:
        output.receipts(KIND).write(Receipt(pair.name, digest))


def is_current(output: Output, pair: Pair) -> bool:
    """Whether neither the index nor a shard has changed since."""
    recorded = _recorded(output, pair)
    return recorded is not None and recorded == _digest(output, pair)


def working_pairs(context: Context) -> list[Pair]:
    """The pairs to measure: skips datasets in which every image failed."""
    return [pair for pair in context.pairs if not all_failed(context.output, pair)]


def all_failed(output: Output, pair: Pair) -> bool:
    """Whether a pair has images, and not one of them could be embedded."""
    found = EMBED.receipts(output).of(pair).values()
    return bool(found) and not any(receipt.counts["embedded"] for receipt in found)


def _recorded(output: Output, pair: Pair) -> str | None:
    receipt = output.receipts(KIND).find(pair.name)
    return receipt.digest if receipt else None


def _digest(output: Output, pair: Pair) -> str:
    shards = EMBED.receipts(output).of(pair)
    made = sorted((name, shard.digest) for name, shard in shards.items())
    return fingerprint([index.digest(output, pair.dataset), made])

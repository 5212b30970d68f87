"""Whether a dataset is embedded as it is indexed (driver).

``embed`` says so once, in a receipt of its own, so that no later stage compares all images again.
"""

from __future__ import annotations

from typing import Final

from kdsspark.hashing import fingerprint
from kdsspark.output import receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages import index

_STAGE: Final = "embedded"


def commit(store: Store, network: str, dataset: str) -> None:
    """All images are embedded or failed, as the index has them; only ``embed`` can tell."""
    digest = _digest(store, network, dataset)
    if _said(store, network, dataset) != digest:
        receipts.write(store, _STAGE, Receipt(f"{network}/{dataset}", digest))


def is_current(store: Store, network: str, dataset: str) -> bool:
    """Whether neither the index nor a shard has changed since."""
    said = _said(store, network, dataset)
    return said is not None and said == _digest(store, network, dataset)


def _said(store: Store, network: str, dataset: str) -> str | None:
    receipt = receipts.find(store, _STAGE, f"{network}/{dataset}")
    return receipt.digest if receipt else None


def _digest(store: Store, network: str, dataset: str) -> str:
    shards = receipts.read(store, receipts.EMBED, f"{network}/{dataset}").values()
    made = sorted((shard.unit, shard.digest) for shard in shards)
    return fingerprint([index.digest(store, dataset), made])

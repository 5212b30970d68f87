"""Receipts: one small JSON file per finished work item, written after the item's own files.

A receipt is the commit of its work item: files without one are unfinished work. It lies at
``<output>/_receipts/<stage>/<item>.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from kdsspark.output import gathered
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.store import Store

FOLDER: Final = "_receipts"

_SCHEMA: Final = pa.schema([pa.field("receipt", pa.string(), nullable=False)])  # as JSON


@dataclass(frozen=True)
class Receipt:
    """What a work item did: counts (items, rows, bytes) and seconds (read, compute, write)."""

    item: ItemName  # unique within its stage
    digest: str  # of everything that determines what the item wrote
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipts:
    """The receipts of one kind of work item (driver and executors)."""

    store: Store
    stage: str

    def write(self, receipt: Receipt) -> None:
        """Commit a work item."""
        self.store.write_json(self._path(receipt.item), _plain(receipt))

    def find(self, item: ItemName) -> Receipt | None:
        """The receipt of one work item, if it has one."""
        try:
            return _receipt(self.store.read_json(self._path(item)))
        except FileNotFoundError:
            return None

    def remove(self, item: ItemName) -> None:
        """Take a commit back; the item's files count as unfinished from now on."""
        self.store.remove(self._path(item))

    def remove_of(self, pair: Pair) -> None:
        """Take back the commits of a pair and of its parts."""
        self.remove(pair.name)
        self.store.remove(self._folder(str(pair)))

    def of(self, pair: Pair) -> dict[ItemName, Receipt]:
        """The receipts of the parts of a pair."""
        return self._below(str(pair))

    def all(self) -> dict[ItemName, Receipt]:
        """Every receipt."""
        return self._below("")

    def named(self, items: Iterable[ItemName]) -> dict[ItemName, Receipt]:
        """The receipts of these work items, of those that have one."""
        wanted = set(items)
        found = [self._below(folder) for folder in sorted({item.folder for item in wanted})]
        return {name: receipt for some in found for name, receipt in some.items() if name in wanted}

    def finished(self, digests: Mapping[ItemName, str]) -> bool:
        """Whether every work item (name -> digest) has its receipt."""
        found = self.named(digests)
        return all(name in found and found[name].digest == d for name, d in digests.items())

    def gather(self) -> None:
        """Gather the receipts in one file, for the next run to read; only under the lock."""
        gathered.keep(self.store, f"receipts-{self.stage}", self._folder(), self._load, _SCHEMA)

    def clean(self, pair: Pair) -> None:
        """Remove half-written receipts of a pair. Only under the lock."""
        self.store.clean(self._folder(str(pair)))

    def _below(self, folder: str) -> dict[ItemName, Receipt]:
        kept = f"receipts-{self.stage}"
        rows = gathered.rows(self.store, kept, self._folder(folder), self._load, _SCHEMA)
        found = (_receipt(json.loads(text)) for text in rows["receipt"].to_pylist())
        return {receipt.item: receipt for receipt in found}

    def _load(self, path: str) -> pa.Table:
        return pa.table({"receipt": [json.dumps(self.store.read_json(path))]}, _SCHEMA)

    def _folder(self, below: str = "") -> str:
        return f"{FOLDER}/{self.stage}/{below}".rstrip("/")

    def _path(self, item: ItemName) -> str:
        return f"{self._folder()}/{item}.json"


def _plain(receipt: Receipt) -> dict[str, Any]:
    counts, seconds = dict(receipt.counts), dict(receipt.seconds)
    return {"unit": receipt.item, "digest": receipt.digest, "counts": counts, "seconds": seconds}


def _receipt(saved: Mapping[str, Any]) -> Receipt:
    # Files call a work item a unit, as outputs of every version do.
    return Receipt(ItemName(saved["unit"]), saved["digest"], saved["counts"], saved["seconds"])

"""Receipts: one small JSON file per finished work unit, written after the unit's own files.

A receipt is the commit of its unit: files without one are unfinished work. Under
``<output>/_receipts/<stage>/<unit>.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Final

import pyarrow as pa

from kdsspark.output import gathered
from kdsspark.output.store import Store

EMBED: Final = "embed"
RECHUNK: Final = "rechunk"
MEASURE: Final = "measure"
SUMMARIZE: Final = "summarize"
CHECK: Final = "check"
REPORT: Final = "report"
"""Stages, as receipts are filed."""

_SCHEMA: Final = pa.schema([pa.field("receipt", pa.string(), nullable=False)])  # as JSON


@dataclass(frozen=True)
class Receipt:
    """What a unit did: counts (items, rows, bytes) and seconds (read, decode, compute, write)."""

    unit: str  # stable name, unique within its stage; may contain '/'
    digest: str  # of everything that determines what the unit wrote
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def write(store: Store, stage: str, receipt: Receipt) -> None:
    """Commit a unit (executor)."""
    store.write_json(_path(stage, receipt.unit), asdict(receipt))


def find(store: Store, stage: str, unit: str) -> Receipt | None:
    """The receipt of one unit, if it has one (executor)."""
    try:
        return Receipt(**store.read_json(_path(stage, unit)))
    except FileNotFoundError:
        return None


def read(store: Store, stage: str, below: str = "") -> dict[str, Receipt]:
    """Unit name -> receipt, for every finished unit of a stage whose name begins with a folder."""
    folder = f"_receipts/{stage}/{below}".rstrip("/")
    rows = gathered.rows(store, f"receipts-{stage}", folder, partial(_load, store), _SCHEMA)
    found = (Receipt(**json.loads(text)) for text in rows["receipt"].to_pylist())
    return {receipt.unit: receipt for receipt in found}


def keep(store: Store, stage: str) -> None:
    """Gather the receipts of a stage in one file; only under the lock."""
    folder = f"_receipts/{stage}"
    gathered.keep(store, f"receipts-{stage}", folder, partial(_load, store), _SCHEMA)


def _load(store: Store, path: str) -> pa.Table:
    return pa.table({"receipt": [json.dumps(store.read_json(path))]}, _SCHEMA)


def remove(store: Store, stage: str, unit: str) -> None:
    """Take a unit's commit back; its files count as unfinished from now on."""
    store.remove(_path(stage, unit))


def _path(stage: str, unit: str) -> str:
    return f"_receipts/{stage}/{unit}.json"

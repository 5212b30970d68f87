"""An output in which every network and dataset has all its files, with names that are alike."""

from __future__ import annotations

import copy
from typing import Any

from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.tables import TABLES

NETWORKS = ["a", "ab", "a.b", "birds", "a.json"]
DATASETS = ["birds", "birds.json", "bird", "a", "birds.parquet", "net"]
BY_PAIR = [t for t in TABLES.values() if t.partitioned_by[:2] == ("network", "dataset")]
RAW: dict[str, Any] = {
    "output": "unused",
    "networks": [{"name": name} for name in NETWORKS],
    "datasets": [{"name": name, "path": f"/data/{name}"} for name in DATASETS],
}


def changed(section: str, name: str, **keys: Any) -> dict[str, Any]:
    """The configuration with another definition of one network or dataset."""
    raw = copy.deepcopy(RAW)
    next(item for item in raw[section] if item["name"] == name).update(keys)
    return raw


def touch(output: Output, path: str) -> None:
    with output.create(path) as file:
        file.write(b"x")


def fill(output: Output) -> None:
    """Write every file; folders are written out here, as outputs of every version have them."""
    for dataset in DATASETS:
        touch(output, f"images/dataset={dataset}/part-0.parquet")
        touch(output, f"duplicates/dataset={dataset}/part-0000-of-0001.parquet")
    for network in NETWORKS:
        touch(output, f"features/network={network}/part-0.parquet")
        weights = f"_networks/{network}-0123.safetensors"
        touch(output, weights)
        output.write_json(f"_networks/{network}.json", {"weights": weights})
        for dataset in DATASETS:
            _fill_pair(output, Pair(network, dataset))
    output.receipts("report").write(Receipt(ItemName("report"), "digest"))
    touch(output, "report/index.html")


def _fill_pair(output: Output, pair: Pair) -> None:
    touch(output, f"thresholds/network={pair.network}/{pair.dataset}.parquet")
    for table in BY_PAIR:
        rest = ["true"] if len(table.partitioned_by) == 3 else []
        touch(output, f"{table.partition(*pair, *rest)}/part-0.parquet")
    below = f"network={pair.network}/dataset={pair.dataset}"
    for folder in ("_ranges", "_summaries", "_columns", "_gathered"):
        touch(output, f"{folder}/{below}/part-0")
    for stage, item in (
        ("embed", pair.item("shard-1")),
        ("measure", pair.item("layer-0")),
        ("summarize", pair.name),
    ):
        output.receipts(stage).write(Receipt(item, "digest"))


FILES_OF_PAIR = 1 + len(BY_PAIR) + 4 + 3


def of_network(path: str, name: str) -> bool:
    """Whether a file came from a network."""
    parts = path.split("/")
    return (
        f"network={name}" in parts
        or path in (f"_networks/{name}.json", f"_networks/{name}-0123.safetensors")
        or (parts[0] == "_receipts" and parts[2] == name and len(parts) > 3)
    )


def of_dataset(path: str, name: str) -> bool:
    """Whether a file came from a dataset."""
    parts = path.split("/")
    if parts[0] == "thresholds":
        return parts[-1] == f"{name}.parquet"
    if parts[:2] == ["_receipts", "summarize"]:
        return parts[3] == f"{name}.json"
    return f"dataset={name}" in parts or (parts[0] == "_receipts" and parts[3:4] == [name])

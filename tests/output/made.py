"""An output in which networks and datasets have every kind of file, and names that are alike."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.tables import TABLES, Table

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


def _tables(pair: Pair) -> list[Table]:
    """A fifth of the tables, so that each network has all of them, and so has each dataset."""
    residue = (NETWORKS.index(pair.network) + DATASETS.index(pair.dataset)) % len(NETWORKS)
    return BY_PAIR[residue :: len(NETWORKS)]


def _fill_pair(output: Output, pair: Pair) -> None:
    touch(output, f"thresholds/network={pair.network}/{pair.dataset}.parquet")
    for table in _tables(pair):
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


def n_files(networks: Iterable[str], datasets: Iterable[str]) -> int:
    """The files of some pairs."""
    pairs = [Pair(network, dataset) for network in networks for dataset in datasets]
    return sum(1 + len(_tables(pair)) + 4 + 3 for pair in pairs)


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

"""An output never mixes two definitions of one name, and starting afresh spares all others."""

import copy
from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import parse
from kdsspark.errors import ConfigError
from kdsspark.output import receipts
from kdsspark.output.definitions import settle
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
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
    raw = copy.deepcopy(RAW)
    next(item for item in raw[section] if item["name"] == name).update(keys)
    return raw


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An output in which every network and dataset has all its files."""
    store = Store.at(str(tmp_path))
    settle(store, parse(RAW), fresh=False)
    for dataset in DATASETS:
        touch(store, f"images/dataset={dataset}/part-0.parquet")
    for network in NETWORKS:
        touch(store, f"features/network={network}/part-0.parquet")
        weights = f"_networks/{network}-0123.safetensors"
        touch(store, weights)
        store.write_json(f"_networks/{network}.json", {"weights": weights})
        for dataset in DATASETS:
            fill(store, network, dataset)
    receipts.write(store, "report", Receipt("report", "digest"))
    touch(store, "report/index.html")
    return store


def touch(store: Store, path: str) -> None:
    with store.create(path) as file:
        file.write(b"x")


def fill(store: Store, network: str, dataset: str) -> None:
    touch(store, f"thresholds/network={network}/{dataset}.parquet")
    for table in BY_PAIR:
        rest = ["true"] if len(table.partitioned_by) == 3 else []
        touch(store, f"{table.partition(network, dataset, *rest)}/part-0.parquet")
    for folder in ("_ranges", "_summaries", "_columns"):
        touch(store, f"{folder}/network={network}/dataset={dataset}/part-0")
    for stage, unit in (("embed", "/shard-1"), ("measure", "/layer-0"), ("summarize", "")):
        receipts.write(store, stage, Receipt(f"{network}/{dataset}{unit}", "digest"))


def of_network(path: str, name: str) -> bool:
    parts = path.split("/")
    return (
        f"network={name}" in parts
        or path in (f"_networks/{name}.json", f"_networks/{name}-0123.safetensors")
        or (parts[0] == "_receipts" and parts[2] == name and len(parts) > 3)
    )


def of_dataset(path: str, name: str) -> bool:
    parts = path.split("/")
    if parts[0] == "thresholds":
        return parts[-1] == f"{name}.parquet"
    if parts[:2] == ["_receipts", "summarize"]:
        return parts[3] == f"{name}.json"
    return f"dataset={name}" in parts or (parts[0] == "_receipts" and parts[3:4] == [name])


def test_the_same_definitions_are_accepted_and_change_nothing(store: Store) -> None:
    before = {path: store.fs.modified(store.path(path)) for path in store.files("")}
    for fresh in (False, True):
        settle(store, parse(RAW), fresh)
    assert {path: store.fs.modified(store.path(path)) for path in store.files("")} == before


def test_the_order_and_what_does_not_define_an_embedding_may_change(store: Store) -> None:
    raw = copy.deepcopy(RAW)
    raw["networks"].reverse()
    raw["measure"] = {"bins": 50}
    raw["embed"] = {"shard_images": 8}
    raw["datasets"][0]["group"] = "a"
    settle(store, parse(raw), fresh=False)


@pytest.mark.parametrize(
    ("section", "name", "key", "was", "now"),
    [
        ("networks", "ab", "crops", "'ten'", "center"),
        ("networks", "a.b", "seed", "0", 3),
        ("datasets", "bird", "path", "'/data/bird'", "/other"),
    ],
)
def test_a_changed_definition_is_refused_by_name_with_both_values_and_the_way_out(
    store: Store, section: str, name: str, key: str, was: str, now: object
) -> None:
    before = store.files("")
    with pytest.raises(ConfigError) as caught:
        settle(store, parse(changed(section, name, **{key: now})), fresh=False)
    assert str(caught.value) == (
        f"{section}.{name}: {key} was {was} and is now {now!r}; {store.url} holds results of "
        f"the former: choose another output, or --fresh to remove them"
    )
    assert store.files("") == before
    settle(store, parse(RAW), fresh=False)  # nothing of the refused was recorded


def test_every_difference_is_named(store: Store) -> None:
    raw = changed("networks", "a", pooling="max", preprocessing={"resize": 300})
    with pytest.raises(ConfigError) as caught:
        settle(store, parse(raw), fresh=False)
    assert "pooling was 'mean' and is now 'max', preprocessing was None and is now {" in str(
        caught.value
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_afresh_removes_all_of_a_network_and_nothing_else(store: Store, name: str) -> None:
    before = store.files("")
    gone = {path for path in before if of_network(path, name)}
    assert len(gone) == 1 + 2 + len(DATASETS) * (1 + len(BY_PAIR) + 3 + 3)
    raw = changed("networks", name, crops="center")
    settle(store, parse(raw), fresh=True)
    assert store.files("") == [path for path in before if path not in gone]
    settle(store, parse(raw), fresh=False)
    store.write_json(f"_networks/{name}.json", {})
    with pytest.raises(ConfigError):
        settle(store, parse(RAW), fresh=False)


@pytest.mark.parametrize("name", DATASETS)
def test_afresh_removes_all_of_a_dataset_and_nothing_else(store: Store, name: str) -> None:
    before = store.files("")
    gone = {path for path in before if of_dataset(path, name)}
    assert len(gone) == 1 + len(NETWORKS) * (1 + len(BY_PAIR) + 3 + 3)
    raw = changed("datasets", name, path="/other")
    settle(store, parse(raw), fresh=True)
    assert store.files("") == [path for path in before if path not in gone]
    settle(store, parse(raw), fresh=False)


def test_what_is_not_configured_now_is_remembered(store: Store) -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"] = [{"name": "new", "path": "/data/new"}]
    settle(store, parse(raw), fresh=False)
    with pytest.raises(ConfigError, match=r"^datasets.bird: path was '/data/bird' and is now '/x'"):
        settle(store, parse(changed("datasets", "bird", path="/x")), fresh=False)


def test_receipts_go_before_what_they_speak_of(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(Store, "remove", lambda _, path: removed.append(path))
    settle(store, parse(changed("networks", "a", crops="center")), fresh=True)
    folders = [path.split("/")[0] for path in removed]
    assert folders.count("_receipts") == 3 * len(DATASETS)
    assert set(folders[: 3 * len(DATASETS)]) == {"_receipts"}


@pytest.mark.parametrize(
    ("section", "key", "result"),
    [
        ("datasets", "path", "images/dataset=new/part-0.parquet"),
        ("datasets", "path", "_receipts/embed/net/new/shard-0.json"),
        ("datasets", "path", "_receipts/summarize/net/new.json"),
        ("networks", "weights", "_networks/new.json"),
    ],
)
def test_a_typo_can_be_corrected_until_something_came_of_it(
    store: Store, section: str, key: str, result: str
) -> None:
    def raw(value: str) -> dict[str, Any]:
        return RAW | {section: [*RAW[section], {"name": "new", key: value}]}

    before = {path for path in store.files("") if path != "_definitions.json"}
    settle(store, parse(raw("tpyo")), fresh=False)
    settle(store, parse(raw("typo")), fresh=False)
    assert {path for path in store.files("") if path != "_definitions.json"} == before
    store.write_json(result, {})
    settle(store, parse(raw("typo")), fresh=False)
    with pytest.raises(ConfigError, match=f"^{section}.new: {key} was 'typo' and is now 'other'"):
        settle(store, parse(raw("other")), fresh=False)


@pytest.mark.parametrize(("section", "name"), [("networks", "a"), ("datasets", "birds")])
def test_an_interrupted_removal_is_taken_up_or_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, section: str, name: str
) -> None:
    key = {"networks": {"crops": "center"}, "datasets": {"path": "/other"}}[section]
    raw = parse(changed(section, name, **key))
    of = {"networks": of_network, "datasets": of_dataset}[section]
    remove, removed = Store.remove, []

    def killed_before_the_last(self: Store, path: str) -> None:
        if len(removed) == n_files - 1:
            raise KeyboardInterrupt
        removed.append(path)
        remove(self, path)

    n_files = sum(of(path, name) for path in store.files(""))
    monkeypatch.setattr(Store, "remove", killed_before_the_last)
    with pytest.raises(KeyboardInterrupt):
        settle(store, raw, fresh=True)
    with pytest.raises(ConfigError):  # what is still there shows it, so it did all the while
        settle(store, raw, fresh=False)
    monkeypatch.undo()
    settle(store, raw, fresh=True)
    assert not any(of(path, name) for path in store.files(""))


def test_a_key_that_is_new_to_an_output_had_its_default(store: Store) -> None:
    saved = store.read_json("_definitions.json")
    for name in DATASETS:
        del saved[f"datasets.{name}"]["split"]
    store.write_json("_definitions.json", saved)
    settle(store, parse(RAW), fresh=False)
    with pytest.raises(ConfigError, match="split was None and is now 'test'"):
        settle(store, parse(changed("datasets", "birds", split="test")), fresh=False)


def test_secrets_in_urls_are_told_apart_and_not_written(tmp_path: Path) -> None:
    def definition(secret: str) -> Any:
        path = f"https://me:{secret}@host/images?signature={secret}"
        return RAW | {"datasets": [{"name": "birds", "path": path}]}

    store = Store.at(str(tmp_path))
    settle(store, parse(definition("hush")), fresh=False)
    touch(store, "images/dataset=birds/part-0.parquet")
    settle(store, parse(definition("hush")), fresh=False)
    with pytest.raises(ConfigError) as caught:
        settle(store, parse(definition("quiet")), fresh=False)
    written = Path(store.path("_definitions.json")).read_text()
    assert "https://***@host/images?***" in written
    for text in (written, str(caught.value)):
        assert "hush" not in text
        assert "quiet" not in text

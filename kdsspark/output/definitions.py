"""What an output was made of: the definitions of its networks and datasets, kept beside it.

An output never mixes two definitions of one name: where something was made of a definition, a
changed one is refused, or everything that came from the former is removed first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from kdsspark.config import Config, Dataset, Network
from kdsspark.config.redaction import with_texts, without_secrets
from kdsspark.errors import ConfigError
from kdsspark.hashing import fingerprint
from kdsspark.output.store import Store
from kdsspark.tables import IMAGES, TABLES

_PATH: Final = "_definitions.json"
_BESIDE_TABLES: Final = ("_ranges", "_columns", "_summaries", "_gathered")  # filed like tables
_NO_DEFINITION: Final = ("group",)  # of a dataset: how it is drawn may change at any time
_Definitions = dict[str, dict[str, Any]]  # "networks.vgg16" -> the fields of its section


def settle(store: Store, config: Config, fresh: bool) -> None:
    """Record the definitions of ``config``; raises :class:`ConfigError` where one has changed.

    With ``fresh``, what came from a changed definition is removed instead. One that nothing came
    of, a mistyped path for example, is merely replaced.
    """
    saved = _with_defaults(store.read_json(_PATH)) if store.exists(_PATH) else {}
    current = _definitions(config)
    changed = [key for key in current if key in saved and saved[key] != current[key]]
    for key in changed:
        kind, _, name = key.partition(".")
        if not fresh and _HAS_RESULTS[kind](store, name):
            raise ConfigError(
                f"{key}: {_difference(saved[key], current[key])}; {store.url} holds results of "
                f"the former: choose another output, or --fresh to remove them"
            )
        if fresh:
            remove(store, {"networks": "network", "datasets": "dataset"}[kind], name)
    if saved | current != saved or changed:
        store.write_json(_PATH, saved | current)


def _definitions(config: Config) -> _Definitions:
    networks = {f"networks.{n.name}": n.model_dump(mode="json") for n in config.networks}
    datasets = {
        f"datasets.{d.name}": d.model_dump(mode="json", exclude=set(_NO_DEFINITION))
        for d in config.datasets
    }
    return {key: with_texts(_shown, fields) for key, fields in (networks | datasets).items()}


def _shown(text: str) -> str:
    """Without secrets, in whose place a hash tells one value from another."""
    shown = without_secrets(text)
    return text if shown == text else f"{shown} ({fingerprint(text)})"


def _with_defaults(saved: _Definitions) -> _Definitions:
    """Definitions as they would be saved today: a key that is new had its default."""
    sections: dict[str, type[BaseModel]] = {"networks": Network, "datasets": Dataset}
    return {
        key: {
            n: f.default
            for n, f in sections[key.partition(".")[0]].model_fields.items()
            if n not in _NO_DEFINITION
        }
        | fields
        for key, fields in saved.items()
    }


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    keys = [key for key in now if was.get(key) != now[key]]
    return ", ".join(f"{key} was {was.get(key)!r} and is now {now[key]!r}" for key in keys)


def _network_has_results(store: Store, name: str) -> bool:
    return store.exists(_record(name))


def _dataset_has_results(store: Store, name: str) -> bool:
    return bool(store.files(IMAGES.partition(name))) or any(
        dataset == name for _, _, dataset in _receipts(store)
    )


_HAS_RESULTS: Final = {"networks": _network_has_results, "datasets": _dataset_has_results}


def _record(network: str) -> str:
    return f"_networks/{network}.json"


def _receipts(store: Store) -> Iterator[tuple[str, str, str]]:
    """Path, network and dataset of every receipt of one."""
    for path in store.files("_receipts"):
        _, _stage, network, *rest = path.split("/")
        if rest:  # the report's is of all
            yield path, network, rest[0] if len(rest) > 1 else rest[0].removesuffix(".json")


def remove(store: Store, column: str, name: str) -> None:
    """Remove everything filed under one ``network`` or ``dataset``.

    Receipts go first, and last what shows that something is left to remove: ``images`` of a
    dataset, the record of a network. So a removal that was interrupted is not taken for done.
    """
    for path, network, dataset in _receipts(store):
        if name == (network if column == "network" else dataset):
            store.remove(path)
    names = sorted(TABLES, key=lambda table: table == IMAGES.name)
    for table in [*_BESIDE_TABLES, *names]:
        for path in store.files(table):
            folders = path.split("/")[:-1]
            by_file = table == "thresholds" and path.endswith(f"/{name}.parquet")
            if f"{column}={name}" in folders or (by_file and column == "dataset"):
                store.remove(path)
    record = _record(name)
    if column == "network" and store.exists(record):
        weights = store.read_json(record)["weights"]
        store.remove(weights)
        store.remove(record)

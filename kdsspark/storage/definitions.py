"""What an output was made of: the definitions of its networks and datasets, kept beside it.

An output never mixes two definitions of one name: a changed one is refused, or everything that
came from it is removed first.
"""

from __future__ import annotations

from typing import Any, Final

from kdsspark.config import Config
from kdsspark.errors import ConfigError
from kdsspark.storage.files import Store
from kdsspark.tables import TABLES

_PATH: Final = "_definitions.json"
_Definitions = dict[str, dict[str, Any]]  # "networks.vgg16" -> the fields of its section


def settle(store: Store, config: Config, fresh: bool) -> None:
    """Record the definitions of ``config``; raises :class:`ConfigError` where one has changed.

    With ``fresh``, what came from a changed definition is removed instead.
    """
    saved: _Definitions = store.read_json(_PATH) if store.exists(_PATH) else {}
    current = _definitions(config)
    changed = [key for key in current if key in saved and saved[key] != current[key]]
    for key in changed:
        if not fresh:
            raise ConfigError(
                f"{key}: {_difference(saved[key], current[key])}; {store.url} holds results of "
                f"the former: choose another output, or --fresh to remove them"
            )
        kind, _, name = key.partition(".")
        remove(store, {"networks": "network", "datasets": "dataset"}[kind], name)
    if saved | current != saved or changed:
        store.write_json(_PATH, saved | current)


def _definitions(config: Config) -> _Definitions:
    networks = {f"networks.{n.name}": n.model_dump(mode="json") for n in config.networks}
    datasets = {f"datasets.{d.name}": d.model_dump(mode="json") for d in config.datasets}
    return networks | datasets


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    keys = [key for key in now if was.get(key) != now[key]]
    return ", ".join(f"{key} was {was.get(key)!r} and is now {now[key]!r}" for key in keys)


def remove(store: Store, column: str, name: str) -> None:
    """Remove everything filed under one ``network`` or ``dataset``; receipts first."""
    for path in store.files("_receipts"):
        _, _stage, network, *rest = path.split("/")
        dataset = rest[0] if len(rest) > 1 else rest[0].removesuffix(".json")
        if name == (network if column == "network" else dataset):
            store.remove(path)
    for table in TABLES.values():
        for path in store.files(table.name):
            folders = path.split("/")[:-1]
            by_file = table.name == "thresholds" and path.endswith(f"/{name}.parquet")
            if f"{column}={name}" in folders or (by_file and column == "dataset"):
                store.remove(path)
    record = f"_networks/{name}.json"
    if column == "network" and store.exists(record):
        weights = store.read_json(record)["weights"]
        store.remove(record)
        store.remove(weights)

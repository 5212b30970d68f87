"""The networks of a study, resolved once on the driver and kept in the output as files.

``_networks/<name>.json`` says what a network is, ``_networks/<name>-<digest>.safetensors`` holds
the tensors it needs; executors read these and neither download nor unpickle anything.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from kdsspark.config import Config, Network
from kdsspark.datasets import readymade
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.network.spec import NetworkSpec, describe
from kdsspark.output import definitions, parquet
from kdsspark.output.filesystems import file_version, locate
from kdsspark.output.store import Store
from kdsspark.stages.measure.stage import layer_widths
from kdsspark.tables import FEATURES

_FOLDER: Final = "_networks"


@dataclass(frozen=True)
class Prepared:
    """A network ready for executors; ``weights`` is a file of the store."""

    spec: NetworkSpec
    weights: str


def prepare_networks(store: Store, config: Config, fresh: bool = False) -> list[Prepared]:
    """Resolve every network of the configuration and write ``features``.

    What is already in the output is taken as it is, unless the file it came from has changed:
    then :class:`ConfigError`, since its embeddings would be another network's, or with ``fresh``
    all that came from it is removed.
    """
    return [_prepared(store, network, fresh) for network in config.networks]


def saved_networks(store: Store, config: Config) -> dict[str, NetworkSpec]:
    """Name -> spec of the networks that have been prepared in this output."""
    paths = {n.name: f"{_FOLDER}/{n.name}.json" for n in config.networks}
    return {
        name: NetworkSpec.from_dict(store.read_json(path)["spec"])
        for name, path in paths.items()
        if store.exists(path)
    }


def _prepared(store: Store, network: Network, fresh: bool) -> Prepared:
    record = f"{_FOLDER}/{network.name}.json"
    source = _source_version(network)
    if store.exists(record):
        saved = store.read_json(record)
        spec = NetworkSpec.from_dict(saved["spec"])
        if source in ("", saved["source"]) and store.exists(saved["weights"]):
            return Prepared(spec, saved["weights"])
        resolved = _resolve(store, network)
        if resolved.spec.fingerprint != spec.fingerprint:
            if not fresh:
                if resolved.weights != saved["weights"]:
                    store.remove(resolved.weights)
                raise ConfigError(
                    f"networks.{network.name}.weights: {network.weights} has changed since "
                    f"{store.url} was made: choose another output, or --fresh to start it anew"
                )
            definitions.remove(store, "network", network.name)
            resolved = _resolve(store, network)
    else:
        resolved = _resolve(store, network)
    write_features(store, network.name, describe(resolved.spec))
    values = {"spec": resolved.spec.to_dict(), "weights": resolved.weights, "source": source}
    store.write_json(record, values)
    return resolved


def _resolve(store: Store, network: Network) -> Prepared:
    # Torch takes seconds to import and half a GiB; a night with nothing new does without.
    from kdsspark.network.weights import prepare

    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "weights.safetensors"
        spec = prepare(network, local)
        target = f"{_FOLDER}/{network.name}-{spec.weights_digest}.safetensors"
        with local.open("rb") as source, store.create(target) as file:
            shutil.copyfileobj(source, file, 1 << 22)
    return Prepared(spec, target)


def _source_version(network: Network) -> str:
    """The state of the file that weights come from; empty where there is none to look at."""
    if not network.weights.endswith((".pth", ".pt", ".safetensors")):
        return ""
    try:
        fs, path = locate(network.weights)
        return file_version(fs, path)
    except (OSError, ImportError, ValueError):
        return ""  # preparing them will say what is wrong


def write_ready_made_features(store: Store, sources: list[readymade.Source]) -> None:
    """Write ``features`` for networks that are known by their embeddings only.

    Datasets that share a network must have the same layers, else :class:`DatasetError`.
    """
    first_of: dict[str, readymade.Source] = {}
    for source in sources:
        network = source.dataset.network
        first = first_of.setdefault(network, source)
        if (source.widths, source.value_types) != (first.widths, first.value_types):
            raise DatasetError(
                f"dataset {source.dataset.name}: network {network} must have the layers "
                f"{_layers(first)} of dataset {first.dataset.name}, got {_layers(source)}"
            )
    for network, source in first_of.items():
        known = layer_widths(store, network)
        if known and known != source.widths:
            raise DatasetError(
                f"dataset {source.dataset.name}: network {network} has the layers {known} in "
                f"{store.url}, got {source.widths}: choose another network name or output"
            )
        rows, feature = [], 0
        for depth, (layer, width) in enumerate(source.widths.items()):
            rows += [(layer, unit, feature + unit, "other", depth) for unit in range(width)]
            feature += width
        write_features(store, network, rows)


def _layers(source: readymade.Source) -> str:
    return ", ".join(f"{n} {w} x {source.value_types[n]}" for n, w in source.widths.items())


def write_features(
    store: Store, network: str, rows: Sequence[tuple[str, int, int, str, int]]
) -> None:
    """Write the ``features`` of one network: rows (layer, unit, feature, kind, depth)."""
    columns = [
        pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), FEATURES.schema, strict=True)
    ]
    table = pa.Table.from_arrays(columns, schema=FEATURES.schema)
    parquet.write(store, f"{FEATURES.partition(network)}/part-0.parquet", table, FEATURES.schema)
